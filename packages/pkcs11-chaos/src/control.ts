import { setTimeout as delay } from 'node:timers/promises'
import { type Counters, mergeMisuse, type Misuse, sumCounters } from './counters.js'
import { ChaosError } from './errors.js'
import { forgetEnded, reportAll, tellAll } from './processes.js'
import { type RuleId, RuleStore, type StoredRule } from './rule-store.js'
import { formatRule } from './rule-text.js'
import type { Action, Rule } from './rule.js'

/** The rules that hold now. Each method resolves when every process under test has taken notice. */
export interface ChaosRules {
  /** @throws INVALID_RULE */
  add(rule: Rule): Promise<RuleId>
  /** Replaces all rules by these, in one step for each process. @throws INVALID_RULE, and then nothing has changed */
  set(rules: readonly Rule[]): Promise<RuleId[]>
  /** Calls that the rule holds go on. @throws UNKNOWN_RULE */
  remove(id: RuleId): Promise<void>
  /** Removes all rules; calls that they hold go on. */
  clear(): Promise<void>
  /** Each as the text that processes read. */
  list(): StoredRule[]
}

/** What a fault is limited to. */
export interface AtSlot {
  /** The id of the slot. @defaultValue every one */
  slot?: number | undefined
}

/** Remote control of every process that has loaded the fault proxy with one control directory. */
export interface ChaosControl {
  /** the control directory */
  readonly directory: string
  readonly rules: ChaosRules
  /** Lets the calls go on that hang now, of one rule or of all; the rules stay. */
  release(id?: RuleId): Promise<void>
  /**
   * Closes every open session at the token. Calls in them are answered with CKR_SESSION_HANDLE_INVALID from now on. A session that
   * is in use at this moment is closed when that call returns.
   */
  dropSessions(at?: AtSlot): Promise<void>
  /** Logs the user out, in every session, behind the program's back. @throws REFUSED when the token does not let it */
  logOut(at?: AtSlot): Promise<void>
  /** Every call is answered with CKR_CRYPTOKI_NOT_INITIALIZED until C_Initialize is called again; sessions and logins are gone. */
  loseInitialization(): Promise<void>
  /** Takes the token out, see `removeToken` of {@link Rule}; it stays so for processes that start later. */
  removeToken(at?: AtSlot): Promise<void>
  /** Puts back what `removeToken` of the same `at` has taken out. Without `at`, every token. */
  insertToken(at?: AtSlot): Promise<void>
  /** What was counted so far, in processes that live and in those that ended in order (one that was killed from outside is missing). */
  counters(): Promise<Counters>
  /** What the program does that it must not. Empty: nothing was seen. */
  misuse(): Promise<Misuse[]>
  /** Counts from 0 again; sessions that are open, calls inside and the counts of rules stay. Processes that have ended are forgotten. */
  resetCounters(): Promise<void>
  /**
   * Resolves with the counters once they are as wanted, looked at every 5 ms: `waitFor((now) => now.hanging === 3)`.
   *
   * @throws TIMEOUT after `timeoutMs` (@defaultValue 10_000), and the signal's reason when it aborts
   */
  waitFor(
    condition: (counters: Counters) => boolean,
    options?: { timeoutMs?: number | undefined; signal?: AbortSignal | undefined },
  ): Promise<Counters>
}

/** Takes control of what another process has set up, by its control directory (`PKCS11_CHAOS_CONTROL`). */
export function controlChaos(directory: string): ChaosControl {
  const store = new RuleStore(directory)
  const sync = () => tellAll(directory, 'sync')
  const act = (action: Action, { slot }: AtSlot = {}) =>
    tellAll(directory, slot === undefined ? `act ${action}` : `act ${action} ${slot}`)

  const rules: ChaosRules = {
    async add(rule) {
      const id = store.add(formatRule(rule))
      await sync()
      return id
    },
    async set(wanted) {
      const texts = wanted.map(formatRule)
      const before = store.list()
      const ids = texts.map((text) => store.add(text))
      for (const { id } of before) store.discard(id)
      await sync()
      return ids
    },
    async remove(id) {
      store.remove(id)
      await sync()
    },
    async clear() {
      for (const { id } of store.list()) store.discard(id)
      await sync()
    },
    list: () => store.list(),
  }

  const counters = async () => sumCounters(await reportAll(directory))
  return {
    directory,
    rules,
    release: (id = '') => tellAll(directory, `release ${id}`),
    dropSessions: (at) => act('dropSessions', at),
    logOut: (at) => act('logOut', at),
    loseInitialization: () => act('loseInitialization'),
    async removeToken({ slot } = {}) {
      await rules.add({ removeToken: true, slot })
    },
    async insertToken(at = {}) {
      const exactly = formatRule({ removeToken: true, slot: at.slot })
      const isMeant = (text: string) => (at.slot === undefined ? /\bremoveToken=/.test(text) : text === exactly)
      for (const { id, text } of store.list()) if (isMeant(text)) store.discard(id)
      await sync()
      await act('insertToken', at)
    },
    counters,
    misuse: async () => mergeMisuse(await reportAll(directory)),
    async resetCounters() {
      await tellAll(directory, 'reset')
      forgetEnded(directory)
    },
    async waitFor(condition, { timeoutMs = 10_000, signal } = {}) {
      const deadline = performance.now() + timeoutMs
      for (;;) {
        signal?.throwIfAborted()
        const now = await counters()
        if (condition(now)) return now
        if (performance.now() > deadline) {
          const { processes: _, ...totals } = now
          throw new ChaosError(
            'TIMEOUT',
            `what was waited for did not come within ${timeoutMs} ms: ${JSON.stringify(totals)}`,
          )
        }
        await delay(5)
      }
    },
  }
}
