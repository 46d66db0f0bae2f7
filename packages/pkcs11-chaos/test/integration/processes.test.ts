import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { useSoftHsmToken } from 'testkit/vitest'
import { afterAll, afterEach, expect, test } from 'vitest'
import { chaosModule, controlChaos, createChaos } from '../../src/index.js'
import { ended, startApplication } from '../support/application-process.js'
import { compile } from '../support/compile.js'

const token = useSoftHsmToken()
const chaos = createChaos({ module: token.module })
const start = (script: string) => startApplication(chaos.modulePath, script)
const RANDOM = 'p.C_GenerateRandom(session, Buffer.alloc(4))'

afterEach(async () => {
  await chaos.rules.clear()
  await chaos.resetCounters()
})
afterAll(chaos.close)

test('rules hold for every process, those that start later too, and each counts by itself', async () => {
  await chaos.rules.add({ on: 'C_GenerateRandom', fail: 'CKR_DEVICE_ERROR', times: 1 })
  const script = `try { ${RANDOM} } catch (error) { process.exitCode = error.code }; ${RANDOM}; process.stdin.resume()`
  const children = [start(script), start(script)]
  const counters = await chaos.waitFor(({ functions }) => functions.C_GenerateRandom?.calls === 4)
  expect(counters.processes).toHaveLength(2)
  expect(counters.rules).toMatchObject([{ matched: 4, applied: 2 }])
  for (const child of children) child.stdin?.end()
  expect(await Promise.all(children.map(ended))).toEqual([0x30, 0x30])
})

test('a rule that is set reaches a process that runs already', async () => {
  const child = start(`
    const timer = setInterval(() => { try { ${RANDOM} } catch (error) { process.exitCode = error.code; clearInterval(timer) } }, 1)`)
  await chaos.waitFor(({ functions }) => (functions.C_GenerateRandom?.calls ?? 0) > 1)
  await chaos.rules.add({ on: 'C_GenerateRandom', fail: 'CKR_DEVICE_MEMORY' })
  expect(await ended(child)).toBe(0x31)
})

test('a rule holds once its promise has resolved, and no more once it is removed, whatever else is set meanwhile', async () => {
  const child = start('process.stdin.resume()')
  await chaos.waitFor(({ sessions }) => sessions.open === 1)
  const known = async () => (await chaos.counters()).rules.map(({ id }) => id)
  await Promise.all(
    Array.from({ length: 8 }, async () => {
      for (let turn = 0; turn < 25; turn += 1) {
        const id = await chaos.rules.add({ on: 'C_Sign', hang: true })
        expect(await known()).toContain(id)
        await chaos.rules.remove(id)
        expect(await known()).not.toContain(id)
      }
    }),
  )
  child.stdin?.end()
  expect(await ended(child)).toBe(0)
})

test('a process ends, with its own status, though a call in it hangs', async () => {
  await chaos.rules.add({ on: 'C_GenerateRandom', hang: true })
  const child = spawn(compile('exits'), [chaos.modulePath, '7'], { stdio: ['pipe', 'inherit', 'inherit'] })
  await chaos.waitFor(({ hanging }) => hanging === 1)
  child.stdin.end()
  expect(await ended(child)).toBe(7)
  expect((await chaos.counters()).processes).toMatchObject([{ ended: true, hanging: 1 }])
})

test.each([
  ['abort', 'SIGABRT'],
  ['kill', 'SIGKILL'],
] as const)(
  'a process crashes by %s at the call that a rule names, and its last report stays',
  async (crash, signal) => {
    await chaos.rules.add({ on: 'C_GenerateRandom', crash, nth: 2 })
    const child = start(`${RANDOM}; ${RANDOM}; ${RANDOM}`)
    expect(await ended(child)).toBe(signal)
    expect((await chaos.counters()).functions.C_GenerateRandom).toMatchObject({ calls: 2, inFlight: 1 })
  },
)

test('a process that was killed from outside is no obstacle, and its socket is removed', async () => {
  const child = start(`${RANDOM}; process.stdin.resume()`)
  await chaos.waitFor(({ functions }) => functions.C_GenerateRandom?.calls === 1)
  child.kill('SIGKILL')
  await ended(child)
  expect(readdirSync(chaos.directory)).toContain(`${child.pid}.sock`)
  await chaos.rules.clear()
  expect(readdirSync(chaos.directory)).not.toContain(`${child.pid}.sock`)
})

test('a process that forks without exec goes on in both, and the child is a process of its own', async () => {
  // answered here, so that the fork finds no thread inside the real module, which may not bear it
  await chaos.rules.add({ on: 'C_SeedRandom', fail: 'CKR_RANDOM_SEED_NOT_SUPPORTED' })
  execFileSync(compile('forks'), [chaos.modulePath], { stdio: 'inherit', timeout: 25_000 })
  const { processes } = await chaos.counters()
  expect(processes).toHaveLength(51)
  const misuse = await chaos.misuse()
  expect(misuse).toMatchObject([{ kind: 'before-initialize', function: 'C_GenerateRandom', count: 50 }])
})

test('two modules in one process obey their own rules', async () => {
  const other = createChaos({ module: token.module })
  try {
    await other.rules.add({ on: 'C_GetSlotList', fail: 'CKR_DEVICE_ERROR' })
    const child = start(`
      const q = new (require('pkcs11js').PKCS11)()
      q.load(${JSON.stringify(other.modulePath)})
      p.C_GetSlotList()
      try { q.C_GetSlotList() } catch (error) { process.exitCode = error.code }`)
    expect(await ended(child)).toBe(0x30)
  } finally {
    await other.close()
  }
})

test('the package’s own module takes its settings from the environment', async () => {
  const child = startApplication(chaosModule(), RANDOM, chaos.env)
  expect(await ended(child)).toBe(0)
  expect((await chaos.counters()).functions.C_GenerateRandom?.calls).toBe(1)
})

test('another controller of the same directory sees and changes the same rules', async () => {
  const other = controlChaos(chaos.directory)
  const id = await chaos.rules.add({ on: 'C_Sign', hang: true })
  expect(other.rules.list()).toEqual([{ id, text: 'on=C_Sign hang=1' }])
  await other.rules.add({ on: 'C_Verify', hang: true })
  expect(chaos.rules.list()).toHaveLength(2)
})

test('closing removes what was made on disk', async () => {
  const brief = createChaos({ module: token.module })
  expect(existsSync(brief.modulePath)).toBe(true)
  await brief.close()
  await brief.close()
  expect(existsSync(brief.directory)).toBe(false)
})

// What a program is told by a module that cannot serve it: C_GetFunctionList fails, and the reason is on standard error.
const directories: string[] = []
afterAll(() => directories.forEach((each) => rmSync(each, { recursive: true, force: true })))
function privateDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'pkcs11-chaos-settings-'))
  directories.push(directory)
  return directory
}

test.each<[string, () => NodeJS.ProcessEnv, string]>([
  ['no module', () => ({ PKCS11_CHAOS_CONTROL: privateDirectory() }), 'PKCS11_CHAOS_MODULE is not set'],
  ['no control directory', () => ({ PKCS11_CHAOS_MODULE: token.module }), 'PKCS11_CHAOS_CONTROL is not set'],
  [
    'a module that is not there',
    () => ({ PKCS11_CHAOS_MODULE: '/nowhere.so', PKCS11_CHAOS_CONTROL: privateDirectory() }),
    'cannot load PKCS11_CHAOS_MODULE: /nowhere.so',
  ],
  [
    'a module that is none of PKCS#11',
    () => ({ PKCS11_CHAOS_MODULE: 'libc.so.6', PKCS11_CHAOS_CONTROL: privateDirectory() }),
    'libc.so.6 has no C_GetFunctionList',
  ],
  [
    'itself',
    () => ({ PKCS11_CHAOS_MODULE: chaosModule(), PKCS11_CHAOS_CONTROL: privateDirectory() }),
    'PKCS11_CHAOS_MODULE is this module itself',
  ],
  [
    'a directory that others may write to',
    () => {
      const directory = privateDirectory()
      chmodSync(directory, 0o777)
      return { PKCS11_CHAOS_MODULE: token.module, PKCS11_CHAOS_CONTROL: directory }
    },
    'is not a directory that only its owner may write to',
  ],
  [
    'a path too long for a socket',
    () => ({ PKCS11_CHAOS_MODULE: token.module, PKCS11_CHAOS_CONTROL: join(privateDirectory(), 'x'.repeat(100)) }),
    'is too long a path for a socket',
  ],
  [
    'a rule that is none',
    () => {
      const control = controlChaos(privateDirectory())
      writeFileSync(join(control.directory, 'rules/000001.rule'), 'on=C_Sign fail=0')
      return { PKCS11_CHAOS_MODULE: token.module, PKCS11_CHAOS_CONTROL: control.directory }
    },
    'rule 000001: got CKR_OK for a failure',
  ],
])('a module with %s says so, and serves no call', (_, env, reason) => {
  const tool = spawnSync('pkcs11-tool', ['--module', chaosModule(), '--list-slots'], {
    encoding: 'utf8',
    env: { ...process.env, ...env() },
  })
  expect(tool.stderr).toContain(`pkcs11-chaos: `)
  expect(tool.stderr).toContain(reason)
  expect(tool.status).not.toBe(0)
})

test('a running process refuses a rule that is none, and keeps to those it has', async () => {
  const child = start('process.stdin.resume()')
  await chaos.waitFor(({ functions }) => functions.C_OpenSession?.calls === 1)
  writeFileSync(join(chaos.directory, 'rules/000009.rule'), 'on=C_Sign')
  try {
    await expect(chaos.rules.add({ on: 'C_Sign', hang: true })).rejects.toMatchObject({
      code: 'REFUSED',
      message: expect.stringContaining('rule 000009: got no effect'),
    })
  } finally {
    rmSync(join(chaos.directory, 'rules/000009.rule'))
    child.stdin?.end()
  }
  expect(await ended(child)).toBe(0)
})
