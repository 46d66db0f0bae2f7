import { readdirSync, readFileSync } from 'node:fs'
import { type EventLoopUtilization, performance } from 'node:perf_hooks'

const EVERY_MS = 8

/** What the operating system says of a thread: milliseconds on a processor, and ready to run without one. */
interface ThreadTimes {
  ran: number
  ready: number
}

/** One time in which the event loop did not turn. */
export interface Hold {
  /** the thread slept, and not because the loop had nothing to do: it waited for a lock or a device */
  sleptMs: number
  /** the thread computed */
  ranMs: number
}

/**
 * Notices when the event loop does not turn, and why. On a machine that does other things too, a timer is late because somebody else has
 * the processor: Linux counts that time for each thread (`schedstat`), and it is no fault of the library's. Nor is it when a thread that
 * holds a lock for a moment loses the processor in that moment, or the whole machine does to its host: the times that other threads of the
 * process were ready to run, and what was stolen from the machine, are taken off too. What remains is time in which the thread slept
 * outside of the loop's own waiting, while those it may have waited for slept too, or ran; and time in which it computed.
 */
export class LoopWatch {
  #timer: NodeJS.Timeout | undefined
  #at = 0
  #loop: EventLoopUtilization = performance.eventLoopUtilization()
  #threads = new Map<string, ThreadTimes>()
  #stolen = 0
  #worst: Hold = { sleptMs: 0, ranMs: 0 }
  readonly #stolenMs: () => number

  /** @param taken milliseconds that the host has taken from the machine so far */
  constructor(taken: () => number = stolenMs) {
    this.#stolenMs = taken
  }

  /** Nothing is noticed where the system does not tell; see {@link available}. */
  start(): void {
    this.#worst = { sleptMs: 0, ranMs: 0 }
    this.#take()
    this.#timer = setInterval(() => this.#tick(), EVERY_MS)
  }

  /** @returns the longest of each */
  stop(): Hold {
    clearInterval(this.#timer)
    this.#tick()
    return this.#worst
  }

  static get available(): boolean {
    return threadTimes().has(MAIN)
  }

  #take(): void {
    this.#at = performance.now()
    this.#loop = performance.eventLoopUtilization()
    this.#threads = threadTimes()
    this.#stolen = this.#stolenMs()
  }

  #tick(): void {
    const [at, loop, before, stolenBefore] = [this.#at, this.#loop, this.#threads, this.#stolen]
    this.#take()
    if (this.#at - at < 2 * EVERY_MS) return
    const since = (thread: string): ThreadTimes => {
      const [now, then] = [this.#threads.get(thread) ?? NOTHING, before.get(thread) ?? NOTHING]
      return { ran: now.ran - then.ran, ready: now.ready - then.ready }
    }
    const { ran, ready } = since(MAIN)
    const others = [...this.#threads.keys()].filter((thread) => thread !== MAIN)
    const othersReady = others.reduce((sum, thread) => sum + since(thread).ready, 0)
    const { active } = performance.eventLoopUtilization(this.#loop, loop)
    const slept = active - ran - ready - othersReady - (this.#stolen - stolenBefore)
    this.#worst = { sleptMs: Math.max(this.#worst.sleptMs, slept), ranMs: Math.max(this.#worst.ranMs, ran) }
  }
}

const NOTHING: ThreadTimes = { ran: 0, ready: 0 }
/** The main thread's id is the process's. */
const MAIN = String(process.pid)

function threadTimes(): Map<string, ThreadTimes> {
  const times = new Map<string, ThreadTimes>()
  for (const thread of threads()) {
    const [ran, ready] = readText(`/proc/self/task/${thread}/schedstat`).split(' ').map(Number)
    if (ran !== undefined && ready !== undefined) times.set(thread, { ran: ran / 1e6, ready: ready / 1e6 })
  }
  return times
}

function threads(): string[] {
  try {
    return readdirSync('/proc/self/task')
  } catch {
    return []
  }
}

/** What the host of a virtual machine has taken from it, of all processors, in steps of a hundredth of a second. */
function stolenMs(): number {
  const [total = ''] = readText('/proc/stat').split('\n', 1)
  return Number(total.trim().split(/\s+/)[8] ?? 0) * 10
}

/** Empty where there is none: a thread may have ended since it was listed. */
function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
