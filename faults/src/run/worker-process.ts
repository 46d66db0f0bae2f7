import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { CellResult } from '../cell/run-cell.js'
import { type Cell, nameOf } from '../cells.js'
import type { Order, Report } from './messages.js'

/** What becomes of a cell in a process of its own: its result, or how the process ended. */
export type Answer = CellResult | { died: string }

const READY_MS = 60_000
/** Everything in a cell is bounded by far less; a process that does not answer by then is stuck. */
const CELL_MS = 120_000
const LAST_WORDS = 2_000

/** A process that runs cells, as its supervisor sees it. */
export class WorkerProcess {
  readonly #child: ChildProcess
  #errors = ''

  private constructor(warm: boolean) {
    const path = fileURLToPath(new URL('worker.js', import.meta.url))
    this.#child = fork(path, [warm ? 'warm' : 'cold'], { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#errors = (this.#errors + text).slice(-LAST_WORDS)
    })
  }

  /** `warm`: the module is loaded before the first cell. */
  static async start(warm: boolean): Promise<WorkerProcess> {
    const worker = new WorkerProcess(warm)
    const ready = await worker.#report(READY_MS)
    if ('died' in ready) throw new Error(`a worker process did not start: ${ready.died}`)
    return worker
  }

  async run(cell: Cell): Promise<Answer> {
    const order: Order = { cell }
    this.#child.send(order)
    const report = await this.#report(CELL_MS)
    if ('result' in report) return report.result
    return 'died' in report ? report : { died: `it was ready again in the middle of ${nameOf(cell)}` }
  }

  get alive(): boolean {
    return this.#child.connected && this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** Ends the process; it removes what it has made. */
  async end(): Promise<void> {
    if (!this.alive) return
    const ended = new Promise((resolve) => this.#child.once('exit', resolve))
    this.#child.disconnect()
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 5_000)
    await ended
    clearTimeout(timer)
  }

  #report(ms: number): Promise<Report | { died: string }> {
    return new Promise((resolve) => {
      const finish = (answer: Report | { died: string }): void => {
        clearTimeout(timer)
        this.#child.off('message', finish).off('exit', onExit)
        resolve(answer)
      }
      const onExit = (code: number | null, signal: string | null): void => {
        finish({ died: `${signal ?? `exit status ${code}`}; ${this.#errors.trim()}` })
      }
      const timer = setTimeout(() => {
        this.#child.kill('SIGKILL')
        finish({ died: `no answer within ${ms} ms, so it was killed; ${this.#errors.trim()}` })
      }, ms)
      this.#child.on('message', finish).on('exit', onExit)
    })
  }
}
