import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { foreignEnvironment } from './foreign-environment.js'

/** The process behind a token's module: it can be killed, stopped and started like a real device that is lost and comes back. */
export interface TokenServer {
  /** undefined while it is killed */
  readonly pid: number | undefined
  /** ends it and its children at once, most by SIGKILL; resolves when it is gone */
  kill(): Promise<void>
  /** SIGSTOP: it lives, and answers nothing */
  stop(): void
  /** SIGCONT */
  cont(): void
  /** starts it again after `kill`; resolves when it can be connected to */
  start(): Promise<void>
  /** `kill` and `start` */
  restart(): Promise<void>
}

/** A program that serves until it is killed. */
export interface ServerProgram {
  command: string
  args: string[]
  env?: Record<string, string>
  /** true when it can be used; asked until it says so */
  isReady: () => Promise<boolean>
  /** files that a killed one leaves and that are in the next one's way */
  leavesBehind?: string[]
  /** @defaultValue SIGKILL */
  endsBy?: NodeJS.Signals
}

const READY_WITHIN_MS = 10_000

/**
 * A server in a process group of its own. The kernel kills it when the process that has started it ends, however that ends.
 */
export class ServerProcess implements TokenServer {
  #child: ChildProcess | undefined

  constructor(readonly program: ServerProgram) {}

  get pid(): number | undefined {
    return this.#child?.pid
  }

  async start(): Promise<void> {
    if (this.#child !== undefined) throw new Error(`${this.program.command} is running already`)
    const { command, args, env, isReady, leavesBehind = [] } = this.program
    for (const file of leavesBehind) rmSync(file, { force: true })
    // No pipe: who serves must not have to wait for somebody to read what it says.
    const log = openLog(command)
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', command, ...args], {
      detached: true,
      // servers live where users have no path to
      env: foreignEnvironment({ PATH: `${process.env.PATH}:/usr/sbin:/sbin`, ...env }),
      stdio: ['ignore', 'ignore', log],
    })
    this.#child = child
    let ended: string | undefined
    child.once('error', (error) => (ended = error.message))
    child.once('exit', (code, signal) => (ended ??= `it ended with ${code ?? signal}`))
    // the test process may end without it
    child.unref()
    const until = performance.now() + READY_WITHIN_MS
    while (!(await isReady())) {
      if (ended === undefined && performance.now() > until) ended = `it is not ready after ${READY_WITHIN_MS} ms`
      if (ended !== undefined) {
        await this.kill()
        const complaints = readFileSync(log, 'utf8').slice(-2_000)
        closeSync(log)
        throw new Error(`cannot start ${command}: ${ended}\n${complaints}`)
      }
      await delay(5)
    }
    closeSync(log)
  }

  async kill(): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
    child.ref()
    const exited = once(child, 'exit')
    signal(child, this.program.endsBy ?? 'SIGKILL')
    await exited
  }

  stop(): void {
    if (this.#child !== undefined) signal(this.#child, 'SIGSTOP')
  }

  cont(): void {
    if (this.#child !== undefined) signal(this.#child, 'SIGCONT')
  }

  async restart(): Promise<void> {
    await this.kill()
    await this.start()
  }
}

/** Whether somebody listens on a Unix socket. */
export function listens(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path)
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}

/** Whether somebody on a Unix socket says something by itself: for servers that end when whom they talk to is gone. */
export function greets(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path)
    socket.once('data', () => resolve(true)).once('close', () => resolve(false))
    socket.once('data', () => socket.destroy()).once('error', () => resolve(false))
  })
}

/** A file that is gone when nobody has it open any more. */
function openLog(command: string): number {
  const path = join(tmpdir(), `testkit-${command}-${process.pid}.log`)
  const file = openSync(path, 'a+', 0o600)
  rmSync(path)
  return file
}

function signal({ pid }: ChildProcess, name: NodeJS.Signals): void {
  if (pid !== undefined) process.kill(-pid, name)
}
