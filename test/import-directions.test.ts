import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, expect, test } from 'vitest'

const root = fileURLToPath(new URL('..', import.meta.url))
const tree = mkdtempSync(join(tmpdir(), 'import-directions-'))
copyFileSync(join(root, '.oxlintrc.json'), join(tree, '.oxlintrc.json'))
afterAll(() => rmSync(tree, { recursive: true, force: true }))

const library = 'packages/pkcs11-pool/src'
const layers = ['internal', 'pkcs11', 'session', 'keys', 'pool', 'metrics', 'resilience'] as const

/** What each layer may import from the others, as the architecture has it. */
const allowed: Record<(typeof layers)[number], string[]> = {
  internal: [],
  pkcs11: ['internal'],
  session: ['internal', 'pkcs11'],
  keys: ['internal', 'pkcs11', 'session'],
  pool: ['internal'],
  metrics: ['internal'],
  resilience: ['internal', 'pkcs11'],
}

const permitted: [from: string, specifier: string][] = [
  ...layers.flatMap((layer) =>
    allowed[layer].map((other): [string, string] => [`${library}/${layer}/x.ts`, `../${other}/y.js`]),
  ),
  ...layers.map((layer): [string, string] => [`${library}/${layer}/x.ts`, '../errors.js']),
  ...layers.map((layer): [string, string] => [`${library}/${layer}/x.ts`, './beside.js']),
  [`${library}/client.ts`, './pool/pool.js'],
  [`${library}/index.ts`, './group/client-group.js'],
  ...['../client.js', '../session-leases.js', ...layers.map((layer) => `../${layer}/y.js`)].map(
    (specifier): [string, string] => [`${library}/group/x.ts`, specifier],
  ),
  ['packages/ssm/src/routes/x.ts', 'pkcs11-pool'],
  ['packages/ssm/src/routes/x.ts', '../problems/problem.js'],
  ['packages/ssm/test/x.test.ts', 'testkit'],
  ['packages/pkcs11-chaos/src/x.ts', './rule.js'],
  ['packages/pkcs11-chaos/src/cli/x.ts', '../chaos.js'],
  ['packages/pkcs11-chaos/test/x.test.ts', 'pkcs11-pool'],
  ['bench/src/x.ts', 'testkit'],
]

const forbidden: [from: string, specifier: string][] = [
  ...layers.flatMap((layer) =>
    layers
      .filter((other) => other !== layer && !allowed[layer].includes(other))
      .map((other): [string, string] => [`${library}/${layer}/x.ts`, `../${other}/y.js`]),
  ),
  ...layers.map((layer): [string, string] => [`${library}/${layer}/x.ts`, '../client.js']),
  ...layers.map((layer): [string, string] => [`${library}/${layer}/x.ts`, 'testkit']),
  ...layers.map((layer): [string, string] => [`${library}/${layer}/x.ts`, '../group/y.js']),
  ...['client', 'client-core', 'crypto-operations', 'key-operations', 'session-leases'].map(
    (file): [string, string] => [`${library}/${file}.ts`, './group/client-group.js'],
  ),
  [`${library}/group/x.ts`, 'testkit'],
  [`${library}/group/x.ts`, '../../../ssm/src/app.js'],
  [`${library}/errors.ts`, './pkcs11/return-values.js'],
  [`${library}/client.ts`, 'testkit'],
  [`${library}/client.ts`, 'bench'],
  [`${library}/client.ts`, 'pkcs11-ssm'],
  [`${library}/client.ts`, '../../ssm/src/app.js'],
  ['packages/ssm/src/routes/x.ts', 'testkit'],
  ['packages/ssm/src/routes/x.ts', 'bench'],
  ['packages/ssm/src/routes/x.ts', 'pkcs11-pool/dist/client.js'],
  ['packages/ssm/src/routes/x.ts', '../../../pkcs11-pool/src/client.js'],
  ['packages/testkit/src/x.ts', 'pkcs11-pool'],
  ...['pkcs11-pool', 'pkcs11-ssm', 'testkit', 'bench', 'pkcs11js', '../../pkcs11-pool/src/errors.js'].map(
    (specifier): [string, string] => ['packages/pkcs11-chaos/src/x.ts', specifier],
  ),
]

/** The cases the linter complains about, found in one run over a tree in which each has a file of its own. */
function restrictedCases(cases: [from: string, specifier: string][]): Set<string> {
  const fileOf = (from: string, index: number) =>
    from.endsWith('/x.ts') ? from.replace('/x.ts', `/case-${index}.ts`) : from
  const restricted = new Set<string>()
  // the files that are no free choice (`client.ts`, `errors.ts`) take one case a run
  let left = cases.map(([from, specifier], index) => ({
    key: `${from} ${specifier}`,
    file: fileOf(from, index),
    specifier,
  }))
  while (left.length > 0) {
    const run = new Map(left.map((each) => [each.file, each]))
    left = left.filter((each) => run.get(each.file) !== each)
    for (const { file, specifier } of run.values()) {
      mkdirSync(dirname(join(tree, file)), { recursive: true })
      writeFileSync(join(tree, file), `import { thing } from '${specifier}'\n\nthing()\n`)
    }
    const { stdout } = spawnSync(join(root, 'node_modules/.bin/oxlint'), ['--format', 'unix'], {
      cwd: tree,
      encoding: 'utf8',
    })
    for (const file of run.keys()) rmSync(join(tree, file))
    for (const line of stdout.split('\n').filter((each) => each.includes('no-restricted-imports'))) {
      const { key } = run.get(line.slice(0, line.indexOf(':'))) ?? {}
      if (key === undefined) throw new Error(`the linter complains of a file that is not there: ${line}`)
      restricted.add(key)
    }
  }
  return restricted
}

const restricted = restrictedCases([...permitted, ...forbidden])

test.each(permitted)('%s may import %s', (from, specifier) => {
  expect(restricted).not.toContain(`${from} ${specifier}`)
})

test.each(forbidden)('%s must not import %s', (from, specifier) => {
  expect(restricted).toContain(`${from} ${specifier}`)
})
