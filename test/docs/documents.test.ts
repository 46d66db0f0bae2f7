import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ERROR_HELP } from 'pkcs11-pool'
import { createSoftHsmToken, findSoftHsm } from 'testkit'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Block, blocksOf, matches } from './markdown.js'
import { Shell } from './shell.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const directory = mkdtempSync(join(tmpdir(), 'ssm-documents-'))
const token = createSoftHsmToken({ label: 'demo', keys: [{ label: 'K4_AES', id: 1 }] })
let replacements: [string, string][]
let shell: Shell

// documents whose commands go on where those of the one before ended: the service of the first is asked by the others
const DOCUMENTS = [
  'docs/ssm/api.md',
  'docs/guides/monitoring.md',
  'docs/guides/troubleshooting.md',
  'docs/ssm/security-model.md',
  'docs/ssm/migration-from-go.md',
  'docs/guides/migration.md',
]

const textOf = (name: string) => readFileSync(join(root, name), 'utf8')

beforeAll(async () => {
  const bin = join(directory, 'bin')
  const command = `#!/bin/sh\nexec ${process.execPath} ${join(root, 'packages/ssm/dist/cli.js')} "$@"\n`
  mkdirSync(bin)
  writeFileSync(join(bin, 'ssm'), command, { mode: 0o755 })
  writeFileSync(join(directory, 'pin'), token.pin, { mode: 0o600 })
  const [first, second] = [await freePort(), await freePort()]
  replacements = [
    // what another machine, another user and another test have there
    ['127.0.0.1:9000', `127.0.0.1:${first}`],
    ['127.0.0.1:9001', `127.0.0.1:${second}`],
    ['/var/lib/ssm', join(directory, 'data')],
    ['/etc/ssm', directory],
    ['cd pkcs11-pool', `cd ${root}`],
    ['/usr/lib/softhsm/libsofthsm2.so', findSoftHsm()],
    ['lotsNumber: 0', `lotsNumber: ${token.slot}`],
  ]
  shell = new Shell(directory, {
    PATH: `${bin}:${process.env.PATH}`,
    HOME: directory,
    ...token.env,
    HSM_PIN: token.pin,
  })
})
afterAll(async () => {
  await shell.close()
  token.remove()
  rmSync(directory, { recursive: true, force: true })
})

/** A port that nobody listens on now. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  return typeof address === 'object' ? (address?.port ?? 0) : 0
}

function asHere(text: string): string {
  return replacements.reduce((text, [theirs, ours]) => text.replaceAll(theirs, ours), text)
}

describe.each(DOCUMENTS)('%s', (name) => {
  const blocks = blocksOf(textOf(name))
  const steps = blocks.flatMap((block, at): [number, Block, Block | undefined][] =>
    isOutput(block) ? [] : [[block.line, block, blocks[at + 1]]],
  )

  it.each(steps)('line %i runs as printed, and prints what is printed', async (_line, block, next) => {
    await run(block, next)
  })

  it('shows no output without the command before it', () => {
    const alone = blocks.filter((block, at) => isOutput(block) && blocks[at - 1]?.language !== 'sh')
    expect(alone.map(({ line }) => line)).toEqual([])
  })
})

function isOutput({ language }: Block): boolean {
  return language === 'text' || language === 'json'
}

async function run({ language, about, code }: Block, next: Block | undefined): Promise<void> {
  if (language === 'yaml') {
    // a file for the commands that follow
    writeFileSync(join(directory, about), asHere(code), { mode: 0o600 })
    return
  }
  if (language !== 'sh') throw new Error(`nothing is known of running ${language}`)
  const { output, status, failed } = await shell.run(asHere(code))
  const [, expected] = /^status=(\d+)$/.exec(about) ?? []
  // the output with it, to be seen where it failed
  if (expected === undefined) expect({ failed, output }).toEqual({ failed: '', output })
  else expect({ status, output }).toEqual({ status: Number(expected), output })
  if (next === undefined || !isOutput(next)) return
  const shown = asHere(next.code)
  expect(matches(shown, output) ? shown : output).toBe(shown)
}

it('every code block of the guides has a language that is run or compared', () => {
  for (const name of DOCUMENTS) {
    const fences = textOf(name).match(/^```/gm) ?? []
    expect(fences).toHaveLength(2 * blocksOf(textOf(name)).length)
  }
})

describe('with the service that the documents started', () => {
  const get = async (path: string) => (await shell.run(asHere(`curl -s http://127.0.0.1:9000${path}`))).output

  it('monitoring explains every figure that is served, and none that is not', async () => {
    const served = [...(await get('/metrics')).matchAll(/^# TYPE (\S+)/gm)].map(([, name = '']) => name)
    const ours = served.filter((name) => /^(ssm|pkcs11_pool)_/.test(name))
    const monitoring = textOf('docs/guides/monitoring.md')
    expect(ours.length).toBeGreaterThan(40)
    expect(ours.filter((name) => !monitoring.includes(`\`${name}`))).toEqual([])
    // those of a token that has a limit, or tells how many sessions there are
    const sometimes = ['pkcs11_pool_token_sessions_max', 'pkcs11_pool_token_sessions_elsewhere']
    const named = new Set(monitoring.match(/\b(ssm|pkcs11_pool|nodejs|process)_[a-z0-9_]*[a-z0-9]/g))
    expect([...named].filter((name) => ![...served, ...sometimes].includes(name))).toEqual([])
  })

  it('troubleshooting knows every code of the service and of the library', async () => {
    const [, codes = ''] = /for programs: ([A-Z_, ]+)/.exec(await get('/openapi.json')) ?? []
    const all = [...codes.split(', '), ...Object.keys(ERROR_HELP)]
    expect(all.length).toBeGreaterThan(50)
    const troubleshooting = textOf('docs/guides/troubleshooting.md')
    expect(all.filter((code) => !troubleshooting.includes(`\`${code}\``))).toEqual([])
  })
})
