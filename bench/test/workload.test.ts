import { execFile } from 'node:child_process'
import { createSecretKey, randomBytes } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { parseWorkloadArguments } from '../src/workload/arguments.js'
import { Core, REPLACED_ID } from '../src/workload/core.js'
import { createSubscribers, OWN_WAY, seal, transportValues } from '../src/workload/material.js'
import { Tally } from '../src/workload/tally.js'

const run = promisify(execFile)
const program = fileURLToPath(new URL('../dist/workload/main.js', import.meta.url))

test('the workload, run for a moment, gets only right answers, the rotation’s too, and an audit that verifies', {
  timeout: 120_000,
}, async () => {
  const small = ['--subscribers', '40', '--rate', '40', '--seconds', '1', '--closed-seconds', '1', '--callers', '4']
  const { stdout } = await run(process.execPath, [program, ...small, '--at-once', '20', '--json'])
  const report = JSON.parse(stdout) as { proven: number; rotation: { answers: number } }
  expect(report).toMatchObject({
    wrong: [],
    audit: expect.stringMatching(/all as they were written, all of them signed$/),
  })
  expect(report.rotation.answers).toBeGreaterThanOrEqual(80)
  // half of what the rotation encrypts is done by the key that it made
  expect(report.proven).toBeGreaterThan(0)
})

describe('the workload’s core', () => {
  const ownKey = () => createSecretKey(randomBytes(32))
  const own = new Map([
    [REPLACED_ID, ownKey()],
    [2, ownKey()],
  ])
  const transport = transportValues()
  const freshTransport = createSecretKey(randomBytes(32))
  const start = () => {
    const subscribers = createSubscribers(4, transport, own.get(REPLACED_ID) ?? ownKey())
    const [first] = subscribers
    if (first === undefined) throw new Error('there is no subscriber')
    return { core: new Core(subscribers, { transport, freshTransport, own }), first }
  }
  const missing = { status: 404, body: { error: 'KEY_NOT_FOUND' } }
  const failed = { status: 500, body: { error: 'DECRYPTION_ERROR' } }

  test('finds a decryption wrong that is not what was encrypted, and one that fails', () => {
    const { core, first } = start()
    const { judge } = core.decryptStored(first)
    expect(judge({ status: 200, body: { plain: first.ki } }, 1, 2)).toBeUndefined()
    expect(judge({ status: 200, body: { plain: '00'.repeat(16) } }, 1, 2)).toMatch(/^200 /)
    for (const answer of [failed, missing]) expect(judge(answer, 1, 2)).toContain(answer.body.error)
  })

  test('finds an encryption wrong that is of other data, or by another key than it says', () => {
    const { core } = start()
    const { judge } = core.encrypt('c0ffee', () => {})
    const of = (id: number, plain: string) => ({
      status: 201,
      body: { id: 2, ...seal(OWN_WAY, own.get(id) ?? ownKey(), plain) },
    })
    expect(judge(of(2, 'c0ffee'), 1, 2)).toBeUndefined()
    expect(judge(of(2, 'decaff'), 1, 2)).toContain('not what was sent')
    expect(judge(of(REPLACED_ID, 'c0ffee'), 1, 2)).toContain('not what was sent')
  })

  test('finds the old key’s answer wrong once the key was deleted, and leaves the new key’s to be proven', async () => {
    const { core, first } = start()
    const { judge } = core.decryptStored(first)
    const before = performance.now()
    await core.ownReplaced.delete(async () => {})
    expect(judge(missing, before, performance.now())).toBeUndefined()
    await core.ownReplaced.make(async () => {})
    const after = performance.now() + 1
    expect(judge({ status: 200, body: { plain: first.ki } }, before, after)).toBeUndefined()
    expect(core.claims).toEqual([])
    expect(judge(missing, after, after)).toContain('KEY_NOT_FOUND')
    // whether the new key really gives this is for the token to say
    expect(judge({ status: 200, body: { plain: first.ki } }, after, after)).toBeUndefined()
    expect(judge(failed, after, after)).toBeUndefined()
    expect(core.claims.map(({ plain }) => plain)).toEqual([first.ki, undefined])
  })
})

test('latencies are told by kind, and decrypting with AES together', () => {
  const tally = new Tally()
  for (let ms = 1; ms <= 100; ms += 1) tally.add(ms % 2 === 0 ? 'decrypt own' : 'decrypt K4, AES', ms, undefined)
  tally.add('encrypt', 500, 'POOL_EXHAUSTED')
  expect(tally.rows().map(({ name, answers }) => [name, answers])).toEqual([
    ['decrypt K4, AES', 50],
    ['decrypt own', 50],
    ['encrypt', 1],
    ['decrypt, AES', 100],
    ['all', 101],
  ])
  expect(tally.rows()[3]).toMatchObject({ p50_ms: 50, p95_ms: 95, p99_ms: 99, max_ms: 100 })
  expect(tally.errors).toEqual({ POOL_EXHAUSTED: 1 })
})

test('the workload says what is wrong with its command line', () => {
  expect(parseWorkloadArguments(['--rate', 'x'])).toEqual({
    problem: '--rate is "x", expected a whole number from 1 on',
  })
  expect(parseWorkloadArguments(['--rates', '1'])).toMatchObject({ problem: expect.stringContaining('--rates') })
  expect(parseWorkloadArguments(['--help'])).toEqual({ help: true })
  expect(parseWorkloadArguments(['--rate', '50', '--closed-seconds', '0'])).toEqual({
    subscribers: 10_000,
    rate: 50,
    seconds: 30,
    closedSeconds: 0,
    callers: 32,
    atOnce: 2_000,
    json: false,
  })
})
