import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { createWrappedModule } from 'testkit'
import { useSoftHsmToken } from 'testkit/vitest'
import { afterAll, afterEach, expect, test } from 'vitest'

const token = useSoftHsmToken({ keys: [{ label: 'k' }] })
const wrapped = createWrappedModule(token)
afterEach(() => wrapped.clear())
afterAll(() => wrapped.remove())

const program = fileURLToPath(new URL('../support/exit-program.mjs', import.meta.url))
/** `npm run test:exits` has 200. */
const TIMES = Number(process.env.EXIT_ROUNDS ?? 10)
const STATUS = 7
const TIMEOUT = TIMES * 12_000

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(setImmediate)
}

interface End {
  status: number | null
  signal: NodeJS.Signals | null
  stderr: string
}

/** Runs the program to its end; it goes on after what it tells once `met` resolves. */
async function run(scenario: string, met: () => Promise<void> = async () => undefined): Promise<End> {
  const options = {
    module: wrapped.module,
    token: { label: token.label },
    pin: { file: token.pinFile },
    pool: { maxSize: 4, operationTimeoutMs: 60_000, createTimeoutMs: 60_000 },
  }
  const child = fork(program, [scenario, JSON.stringify(options), String(TIMES)], {
    env: { ...process.env, ...token.env },
    stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
    execArgv: [],
  })
  let stderr = ''
  child.stderr?.on('data', (chunk: Buffer) => {
    stderr += chunk.toString()
  })
  child.on('message', () => void met().then(() => child.send('go on')))
  const [status, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null]
  return { status, signal, stderr }
}

async function runTimes(scenario: string, met?: () => Promise<void>): Promise<End[]> {
  const ends: End[] = []
  for (let time = 0; time < TIMES; time += 1) ends.push(await run(scenario, met))
  return ends
}

const all = (end: Partial<End>) => Array.from({ length: TIMES }, () => expect.objectContaining(end))
const ITS_OWN = { status: STATUS, signal: null, stderr: '' }

test('process.exit while every thread is in a call that never returns ends with its status', {
  timeout: TIMEOUT,
}, async () => {
  const ends: End[] = []
  for (let time = 0; time < TIMES; time += 1) {
    wrapped.hang('C_Encrypt')
    const before = wrapped.hanging()
    ends.push(await run('exits while calls hang', () => until(() => wrapped.hanging() === before + 4)))
  }
  expect(ends).toEqual(all(ITS_OWN))
})

test('process.exit while a module that is initialised again does not return ends with its status', {
  timeout: TIMEOUT,
}, async () => {
  const ends: End[] = []
  for (let time = 0; time < TIMES; time += 1) {
    wrapped.hang('C_Finalize')
    for (const name of ['C_EncryptInit', 'C_GetSessionInfo'] as const)
      wrapped.fail(name, 'CKR_CRYPTOKI_NOT_INITIALIZED')
    const before = wrapped.hanging()
    ends.push(await run('exits while calls hang', () => until(() => wrapped.hanging() === before + 1)))
  }
  expect(ends).toEqual(all(ITS_OWN))
})

test.each(['exits while it is busy', 'ends without closing', 'ends right after closing', 'exits while it closes'])(
  'a program that %s ends with its own status',
  { timeout: TIMEOUT },
  async (scenario) => {
    expect(await runTimes(scenario)).toEqual(all(ITS_OWN))
  },
)

test('an exception that nobody catches ends a busy program as it does any other', { timeout: TIMEOUT }, async () => {
  const ends = await runTimes('throws while it is busy')
  expect(ends).toEqual(all({ status: 1, signal: null }))
  expect(ends.every(({ stderr }) => stderr.includes('Error: the end'))).toBe(true)
})

test('workers that are terminated in the middle of calls leave no session, and the main thread works on', {
  timeout: TIMEOUT,
}, async () => {
  const end = await run('terminates its workers', () => until(() => wrapped.openSessions() === 0))
  expect(end).toEqual(ITS_OWN)
})
