import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { createConnection } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { ChaosError } from './errors.js'
import type { ProcessCounters } from './counters.js'

/** How long a process may take to answer. Its control thread waits for nobody but, during an action, the token. */
const ANSWER_TIMEOUT_MS = 10_000

type Answer = { ok: true } | { error: string } | ProcessCounters

/** Tells every process under a control directory something. Resolves when all that live have done it. @throws NO_ANSWER, REFUSED */
export async function tellAll(control: string, command: string): Promise<void> {
  await Promise.all(
    sockets(control).map(async ({ pid, path }) => {
      const answer = await ask(path, command)
      if (answer !== undefined && 'error' in answer) {
        throw new ChaosError('REFUSED', `process ${pid} could not do '${command}': ${answer.error}`)
      }
    }),
  )
}

/** What every process under a control directory has to report, those that have ended in order included. @throws NO_ANSWER */
export async function reportAll(control: string): Promise<ProcessCounters[]> {
  const living = await Promise.all(sockets(control).map(({ path }) => ask(path, 'report')))
  // read after the living: one that ends in between is in both, and its last report counts
  const ended = endedReports(control)
  const key = ({ pid, startedAt }: ProcessCounters) => `${pid}-${startedAt}`
  const all = new Map<string, ProcessCounters>()
  for (const answer of living) {
    if (answer !== undefined && 'pid' in answer) all.set(key(answer), { ...answer, ended: false })
  }
  for (const report of ended) all.set(key(report), { ...report, ended: true })
  return [...all.values()].sort((a, b) => a.pid - b.pid)
}

/** Forgets the processes that have ended. */
export function forgetEnded(control: string): void {
  for (const name of listed(control, 'ended')) rmSync(join(control, 'ended', name), { force: true })
}

function endedReports(control: string): ProcessCounters[] {
  return listed(control, 'ended')
    .filter((name) => name.endsWith('.json'))
    .map((name) => JSON.parse(readFileSync(join(control, 'ended', name), 'utf8')) as ProcessCounters)
}

function sockets(control: string): { pid: string; path: string }[] {
  return listed(control, '.').flatMap((name) =>
    name.endsWith('.sock') ? [{ pid: name.slice(0, -'.sock'.length), path: join(control, name) }] : [],
  )
}

function listed(control: string, folder: string): string[] {
  try {
    return readdirSync(join(control, folder))
  } catch (error) {
    // no process has made it yet
    if (codeOf(error) === 'ENOENT') return []
    throw error
  }
}

/** One line there, one line back; undefined when the process is not there any more. */
async function ask(path: string, command: string): Promise<Answer | undefined> {
  const deadline = performance.now() + ANSWER_TIMEOUT_MS
  for (;;) {
    const answer = await exchange(path, `${command}\n`)
    if (answer === GONE) return undefined
    // the other side is this package's own module
    if (answer !== BUSY) return JSON.parse(answer) as Answer
    if (performance.now() > deadline) throw noAnswer(path, command)
    await delay(5)
  }
}

const GONE = Symbol('the process has ended')
const BUSY = Symbol('more connections wait there than the system lets')

/** What an error of the socket means, where it is none. */
const MEANING: Partial<Record<string, typeof GONE | typeof BUSY>> = {
  ECONNREFUSED: GONE,
  ECONNRESET: GONE,
  ENOENT: GONE,
  EPIPE: GONE,
  EAGAIN: BUSY,
}

function exchange(path: string, line: string): Promise<string | typeof GONE | typeof BUSY> {
  return new Promise((resolve, reject) => {
    let received = ''
    const socket = createConnection(path)
    socket.setEncoding('utf8')
    socket.setTimeout(ANSWER_TIMEOUT_MS, () => {
      socket.destroy()
      reject(noAnswer(path, line.trim()))
    })
    socket.on('connect', () => socket.write(line))
    socket.on('data', (text: string) => (received += text))
    socket.on('error', (error) => {
      const code = codeOf(error)
      // a process that was killed could not take its socket away
      if (code === 'ECONNREFUSED') rmSync(path, { force: true })
      const meaning = MEANING[code]
      if (meaning !== undefined) resolve(meaning)
      else reject(new ChaosError('NO_ANSWER', `cannot talk to ${path}: ${error.message}`, { cause: error }))
    })
    // without a whole line the process has ended meanwhile
    socket.on('close', () => resolve(received.endsWith('\n') ? received : GONE))
  })
}

function noAnswer(path: string, command: string): ChaosError {
  const seconds = ANSWER_TIMEOUT_MS / 1000
  return new ChaosError('NO_ANSWER', `${path} did not answer '${command}' within ${seconds} s: is the process stopped?`)
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}
