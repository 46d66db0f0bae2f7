import type { FunctionName } from './function-names.js'
import type { RuleId } from './rule-store.js'

/** Calls of one function. */
export interface FunctionCounters {
  calls: number
  /** calls that are inside the module now */
  inFlight: number
  /** answered with anything but CKR_OK, by the real module or by a rule */
  failed: number
  /** changed by a rule or an action: answered, delayed, held, or made to cause something */
  injected: number
}

/** Logins (C_Login and C_LoginUser), by what the program was told. */
export interface LoginCounters {
  /** CKR_OK */
  accepted: number
  /** CKR_USER_ALREADY_LOGGED_IN */
  already: number
  /** the PIN was refused: CKR_PIN_INCORRECT, _INVALID, _LEN_RANGE, _EXPIRED or _LOCKED */
  rejected: number
  /** any other answer */
  failed: number
}

export interface SessionCounters {
  /** open, as the program sees it */
  open: number
  /** the most that were open at once; of several processes the sum */
  peak: number
  /** opened at the token, but the program was told that they were not: nobody can close them */
  lost: number
}

export interface RuleCounters {
  id: RuleId
  /** calls of the rule's functions, at its slot, between `from` and `until` */
  matched: number
  /** those of them that it did something to */
  applied: number
}

/** What a program does that PKCS#11 forbids, or that ends badly. */
export type MisuseKind =
  /** a call entered a session while another was inside */
  | 'shared-session'
  /** a call before C_Initialize */
  | 'before-initialize'
  /** a call after C_Finalize */
  | 'after-finalize'
  /** an Init while the session still carried the same operation */
  | 'operation-active'
  /** a session closed, or the library finalized, with an operation active */
  | 'closed-active'
  /** a login with a PIN that was rejected before, and not accepted or changed since */
  | 'pin-retried'
  /** C_Finalize while calls were inside */
  | 'finalize-while-inside'

/** One kind of misuse, in one function. */
export interface Misuse {
  kind: MisuseKind
  function: FunctionName
  count: number
  /** what was seen the first time */
  first: string
}

/** What was counted, in one process or in all. */
export interface Tally {
  functions: { [Name in FunctionName]?: FunctionCounters }
  /** calls that a rule holds now, until they are released */
  hanging: number
  logins: LoginCounters
  sessions: SessionCounters
  rules: RuleCounters[]
}

export interface ProcessCounters extends Tally {
  pid: number
  startedAt: string
  /** it has ended, and this was its last report */
  ended: boolean
  /** between C_Initialize and C_Finalize, as the program was told */
  initialized: boolean
  misuse: Misuse[]
}

/** The sum over all processes, and each of them. */
export interface Counters extends Tally {
  /** calls of all functions */
  calls: number
  /** calls of all functions that are inside the module now */
  inFlight: number
  processes: ProcessCounters[]
}

export function sumCounters(processes: ProcessCounters[]): Counters {
  const functions: Tally['functions'] = {}
  const rules = new Map<RuleId, RuleCounters>()
  for (const process of processes) {
    for (const [name, counters] of Object.entries(process.functions) as [FunctionName, FunctionCounters][]) {
      functions[name] = add(functions[name], counters)
    }
    for (const { id, ...counts } of process.rules) {
      rules.set(id, { id, ...add(rules.get(id), counts) })
    }
  }
  const all = Object.values(functions)
  return {
    calls: sum(all.map(({ calls }) => calls)),
    inFlight: sum(all.map(({ inFlight }) => inFlight)),
    functions,
    hanging: sum(processes.map(({ hanging }) => hanging)),
    logins: processes.map(({ logins }) => logins).reduce(add, { accepted: 0, already: 0, rejected: 0, failed: 0 }),
    sessions: processes.map(({ sessions }) => sessions).reduce(add, { open: 0, peak: 0, lost: 0 }),
    rules: [...rules.values()],
    processes,
  }
}

/** The same kinds of misuse of several processes as one. */
export function mergeMisuse(processes: readonly ProcessCounters[]): Misuse[] {
  const all = new Map<string, Misuse>()
  for (const { misuse } of processes) {
    for (const each of misuse) {
      const key = `${each.kind} ${each.function}`
      const known = all.get(key)
      all.set(key, known === undefined ? { ...each } : { ...known, count: known.count + each.count })
    }
  }
  return [...all.values()]
}

function add<T extends object>(a: T | undefined, b: T): T {
  if (a === undefined) return b
  // each value is a number, and both have the same names
  const left = a as Record<string, number>
  const right = b as Record<string, number>
  return Object.fromEntries(Object.entries(right).map(([name, value]) => [name, value + (left[name] ?? 0)])) as T
}

function sum(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0)
}
