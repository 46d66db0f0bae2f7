import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { useSoftHsmToken } from 'testkit/vitest'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { chaosModule, type Counters, createChaos, type Misuse } from '../../src/index.js'
import { ended, startApplication } from '../support/application-process.js'
import { runCommand, runProgram } from '../support/command.js'

const token = useSoftHsmToken({ keys: [{ label: 'k' }] })
const chaos = createChaos({ module: token.module })
const control = (...args: string[]) => runCommand(args, { PKCS11_CHAOS_CONTROL: chaos.directory })
const run = (...args: string[]) => runCommand(['run', '--module', token.module, ...args])
const randomTool = ['pkcs11-tool', '--module', '{}', '--slot', String(token.slot), '--generate-random', '4']

afterEach(async () => {
  await chaos.rules.clear()
  await chaos.resetCounters()
})
afterAll(chaos.close)

test('--help teaches the commands, the rules and the exit statuses', async () => {
  const { stdout, stderr, status } = await runCommand(['--help'])
  expect({ stderr, status }).toEqual({ stderr: '', status: 0 })
  for (const word of [
    'run',
    'path',
    'rule add',
    'release',
    'act',
    'stats',
    'misuse',
    'fail=',
    'nth=',
    'Exit status',
    'Examples',
  ]) {
    expect(stdout).toContain(word)
  }
  expect(await runCommand(['help'])).toMatchObject({ stdout, status: 0 })
})

test('--version and path say what they are asked', async () => {
  expect(await runCommand(['--version'])).toEqual({ stdout: '0.1.0\n', stderr: '', status: 0 })
  expect(await runCommand(['path'])).toEqual({ stdout: `${chaosModule()}\n`, stderr: '', status: 0 })
})

describe('controlling processes that run', () => {
  test('rules are added, listed, removed and cleared', async () => {
    expect(await control('rule', 'add', 'C_Sign,C_Verify', 'fail=CKR_DEVICE_ERROR', 'every=3')).toEqual({
      stdout: '000001\n',
      stderr: '',
      status: 0,
    })
    expect(JSON.parse((await control('rule', 'add', 'all delayMs=5-7 probability=0.5', '--json')).stdout)).toEqual({
      id: '000002',
    })
    const list = await control('rule', 'list')
    expect(list.stdout).toBe('000001 fail=48 every=3 on=C_Sign,C_Verify\n000002 delay=5-7 probability=0.5 on=*\n')
    await control('rule', 'remove', '000001')
    expect(chaos.rules.list()).toHaveLength(1)
    await control('rule', 'clear')
    expect(JSON.parse((await control('rule', 'list', '--json')).stdout)).toEqual([])
  })

  test('a call that hangs is seen and released', async () => {
    await control('rule', 'add', 'C_GenerateRandom', 'hang')
    const child = startApplication(chaos.modulePath, 'p.C_GenerateRandom(session, Buffer.alloc(4))')
    await chaos.waitFor(({ hanging }) => hanging === 1)
    const { stdout } = await control('stats')
    expect(stdout).toMatch(/^C_GenerateRandom +1 +1 +0 +0$/m)
    expect(stdout).toContain('hanging: 1\nprocesses: 1 running, 0 ended\n')
    expect((JSON.parse((await control('stats', '--json')).stdout) as Counters).hanging).toBe(1)
    expect(await control('release')).toEqual({ stdout: '', stderr: '', status: 0 })
    expect(await ended(child)).toBe(0)
  })

  test('actions reach the processes, and misuse is told', async () => {
    const child = startApplication(
      chaos.modulePath,
      `process.stdin.on('end', () => {
        try { p.C_GetSessionInfo(session) } catch (error) { process.exitCode = error.code }
        p.C_Finalize()
        try { p.C_GetInfo() } catch {}
      })
      process.stdin.resume()`,
    )
    await chaos.waitFor(({ sessions }) => sessions.open === 1)
    expect(await control('act', 'dropSessions', '--slot', String(token.slot))).toMatchObject({ stderr: '', status: 0 })
    child.stdin?.end()
    expect(await ended(child)).toBe(0xb3)
    expect((await control('misuse')).stdout).toBe(
      'misuse: after-finalize, 1 times; first: C_GetInfo was called after C_Finalize\n',
    )
    expect(JSON.parse((await control('misuse', '--json')).stdout) as Misuse[]).toMatchObject([
      { kind: 'after-finalize' },
    ])
    await control('reset')
    expect((await control('misuse')).stdout).toBe('misuse: none seen\n')
  })

  test('the token is taken out and put back', async () => {
    await control('act', 'removeToken')
    expect(chaos.rules.list()).toMatchObject([{ text: 'removeToken=1' }])
    await control('act', 'insertToken')
    expect(chaos.rules.list()).toEqual([])
  })
})

describe('run', () => {
  test('gives the program the proxy, its own output and its own status', async () => {
    const { stdout, stderr, status } = await run(
      '--rule',
      'C_GenerateRandom fail=CKR_DEVICE_ERROR',
      '--',
      ...randomTool,
    )
    expect({ stdout, status }).toEqual({ stdout: '', status: 1 })
    expect(stderr).toContain('Could not generate random bytes')
    expect(stderr).toMatch(/^C_GenerateRandom +1 +0 +1 +1$/m)
    expect(stderr).toContain('misuse: none seen\n')
    expect(await run('--quiet', '--', 'sh', '-c', 'exit 9')).toEqual({ stdout: '', stderr: '', status: 9 })
  })

  test('gives its summary as JSON', async () => {
    const { stderr } = await run('--json', '--', ...randomTool.concat('--output-file', '/dev/null'))
    const json = stderr.split('\n').find((line) => line.startsWith('{')) ?? ''
    expect(JSON.parse(json)).toMatchObject({
      status: 0,
      counters: { functions: { C_GenerateRandom: { calls: 1 } } },
      misuse: [],
    })
  })

  test('ends with the number of the signal that ended the program', async () => {
    expect(await run('--quiet', '--', 'sh', '-c', 'kill -TERM $$')).toMatchObject({ status: 143 })
  })

  test('ends with status 3 on misuse, where that was asked for', async () => {
    const misuse = `const p = new (require('pkcs11js').PKCS11)(); p.load(process.argv[1]); try { p.C_GetInfo() } catch { 0 }`
    const program = [process.execPath, '-e', misuse, '{}']
    expect(await run('--quiet', '--fail-on-misuse', '--', ...program)).toMatchObject({ status: 3 })
    expect(await run('--quiet', '--', ...program)).toMatchObject({ status: 0 })
  })

  test('says when the program cannot be started', async () => {
    expect(await run('--quiet', '--', '/nowhere/program')).toMatchObject({
      status: 127,
      stderr: expect.stringContaining('cannot start /nowhere/program'),
    })
  })

  test('leaves the rules of a directory that was named as they were', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'pkcs11-chaos-named-'))
    try {
      const env = { PKCS11_CHAOS_CONTROL: directory }
      await runCommand(['rule', 'add', 'C_Sign', 'hang'], env)
      await run('--control', directory, '--rule', 'C_Verify hang', '--quiet', '--', 'true')
      expect((await runCommand(['rule', 'list'], env)).stdout).toBe('000001 hang=1 on=C_Sign\n')
    } finally {
      rmSync(directory, { recursive: true, force: true })
    }
  })
})

test.each<[string[], string]>([
  [[], 'got no command, expected one of run, path, rule'],
  [
    ['stat'],
    "got command 'stat', expected one of run, path, rule, release, act, stats, misuse, reset, help, version; did you mean stats?",
  ],
  [['stats', 'now'], "got 'now', expected nothing more"],
  [['stats', '--jason'], 'got --jason, which is no option; did you mean json?'],
  [['stats', '--slot', '1'], "got --slot, which 'stats' does not take"],
  [['stats', '--', 'true'], "got --, which only 'run' takes"],
  [['rule'], 'got no rule command, expected one of add, list, remove, clear'],
  [['rule', 'ad'], "got rule command 'ad', expected one of add, list, remove, clear"],
  [['rule', 'add'], "got no rule, expected one such as 'C_Sign fail=CKR_DEVICE_ERROR'"],
  [['rule', 'add', 'C_Sing', 'hang'], 'got on "C_Sing", expected a function of PKCS#11; did you mean C_Sign?'],
  [
    ['rule', 'add', 'C_Sign', 'fial=CKR_DEVICE_ERROR'],
    "got 'fial=CKR_DEVICE_ERROR', which no rule has; did you mean fail?",
  ],
  [['rule', 'add', 'C_Sign', 'hangs'], "got 'hangs', which is no function and no effect; did you mean hang?"],
  [['rule', 'add', 'C_Sign', 'hang', 'nth=two'], 'got nth "two", expected a whole number of 1 or more'],
  [['rule', 'add', 'C_Sign', 'delayMs=5-x'], 'got delayMs "5-x", expected a number from 0'],
  [['rule', 'add', 'C_Sign'], 'got no effect, expected one of'],
  [['rule', 'remove'], "got no id, expected that of a rule: see 'rule list'"],
  [['rule', 'remove', '77'], "got rule id '77', expected none: there are no rules"],
  [['act'], 'got no action, expected one of dropSessions'],
  [['act', 'drop'], "got action 'drop', expected one of dropSessions"],
  [['act', 'logOut', '--slot', 'x'], "got --slot 'x', expected the id of a slot"],
  [['run', '--module', 'm.so'], 'got no command to run, expected one behind --'],
  [['run', '--', 'true'], 'got no --module, expected the path of the real PKCS#11 module'],
  [['run', 'true'], "got 'true', expected the command to run behind --"],
  [['run', '--module', '/nowhere.so', '--', 'true'], 'got module /nowhere.so, which does not exist'],
  [
    ['run', '--module', 'm.so', '--rule', 'C_Sign hnag', '--', 'true'],
    "got 'hnag', which is no function and no effect; did you mean hang?",
  ],
])('wrong usage, %j, is refused with status 2 and the reason', async (args, reason) => {
  const { stdout, stderr, status } = await control(...args)
  expect({ stdout, status }).toEqual({ stdout: '', status: 2 })
  expect(stderr).toContain(`pkcs11-chaos: ${reason}`)
})

test('without a control directory, or one that is there, nothing can be controlled', async () => {
  expect(await runCommand(['stats'])).toMatchObject({
    status: 2,
    stderr: expect.stringContaining('got no control directory'),
  })
  expect(await runCommand(['stats', '--control', '/nowhere'])).toMatchObject({
    status: 2,
    stderr: expect.stringContaining('mkdir -m 700 /nowhere'),
  })
})

test('what a process refuses is a failure, and no wrong usage', async () => {
  const child = startApplication(chaos.modulePath, 'process.stdin.resume()')
  await chaos.waitFor(({ sessions }) => sessions.open === 1)
  const bad = join(chaos.directory, 'rules/000099.rule')
  await runProgram('sh', ['-c', `echo nonsense > ${bad}`])
  const { status, stderr } = await control('rule', 'add', 'C_Sign', 'hang')
  rmSync(bad)
  child.stdin?.end()
  expect(status).toBe(1)
  expect(stderr).toContain("rule 000099: got 'nonsense', which no rule has")
  expect(await ended(child)).toBe(0)
})
