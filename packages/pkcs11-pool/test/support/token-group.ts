import { createChaos, type Chaos, type FunctionName, type Misuse, type Rule, type RuleId } from 'pkcs11-chaos'
import type { SoftHsmToken } from 'testkit'
import { useSoftHsm } from 'testkit/vitest'
import { afterAll, afterEach, expect } from 'vitest'
import {
  type ClientGroup,
  createClient,
  createGroup,
  type GroupMemberOptions,
  type GroupOptions,
  type Template,
} from '../../src/index.js'

/** SoftHSM tokens of the test file's own, with the same keys, in the slots of one module that misbehaves at one of them on demand. */
export interface TokenGroup {
  chaos: Chaos
  token(name: string): SoftHsmToken
  member(name: string, options?: Partial<GroupMemberOptions>): GroupMemberOptions
  /**
   * A group of all of them, closed after the test. Keys are only compared when that is asked for, and no member is asked beside another
   * that is slow.
   */
  open(options?: Partial<GroupOptions>, members?: Partial<GroupMemberOptions>): Promise<ClientGroup>
  /** Puts keys on one token, past any group. */
  plant(name: string, ...templates: Template[]): Promise<void>
  /** A rule for one token, until it is removed or the test ends. */
  fault(name: string, rule: Rule): Promise<RuleId>
  /** Counts calls of a function from now on: how many each token got. */
  count(on: FunctionName): Promise<() => Promise<number[]>>
}

/**
 * After each test every rule is lifted and every group closed, whatever the test did; and then no session may be open, no call be inside,
 * and nothing have been done that PKCS#11 forbids, such as a second login with a PIN that was rejected.
 */
export function useTokenGroup(names: readonly string[]): TokenGroup {
  const softHsm = useSoftHsm()
  const tokens = new Map(names.map((name) => [name, softHsm.createToken({ label: name })]))
  const chaos = createChaos({ module: softHsm.module })
  const groups: ClientGroup[] = []
  let hasStalled = false
  afterEach(async () => {
    await chaos.rules.clear()
    await Promise.all(groups.splice(0).map((group) => group.close()))
    await chaos.waitFor(({ sessions, inFlight }) => sessions.open === 0 && inFlight === 0)
    const misuse = (await chaos.misuse()).filter((each) => !(hasStalled && isOfGivenUpCall(each)))
    hasStalled = false
    await chaos.resetCounters()
    expect(misuse).toEqual([])
  })
  afterAll(() => chaos.close())
  const token = (name: string): SoftHsmToken => {
    const found = tokens.get(name)
    if (found === undefined) throw new Error(`there is no token ${name}`)
    return found
  }
  const member = (name: string, options: Partial<GroupMemberOptions> = {}): GroupMemberOptions => {
    const { label, pinFile } = token(name)
    return { module: chaos.modulePath, token: { label }, pin: { file: pinFile }, ...options }
  }
  const fault = (name: string, rule: Rule): Promise<RuleId> => {
    hasStalled ||= rule.hang === true
    return chaos.rules.add({ ...rule, slot: token(name).slot })
  }
  return {
    chaos,
    token,
    member,
    fault,
    async open(options = {}, members = {}) {
      const group = await createGroup({
        members: names.map((name) => member(name, members)),
        consistencyIntervalMs: Number.POSITIVE_INFINITY,
        nextMemberAfterMs: 60_000,
        ...options,
      })
      groups.push(group)
      return group
    },
    async plant(name, ...templates) {
      const client = await createClient(member(name))
      for (const template of templates) await client.keys.import(template)
      await client.close()
    },
    async count(on) {
      const ids: RuleId[] = []
      // It changes nothing, and counts what it fits.
      for (const name of names) ids.push(await fault(name, { on, delayMs: 0 }))
      return async () => {
        const { rules } = await chaos.counters()
        return ids.map((id) => rules.find((rule) => rule.id === id)?.matched ?? 0)
      }
    },
  }
}

/** A session in which a call was given up is closed when that call returns, with whatever the call has begun. */
function isOfGivenUpCall({ kind, function: name }: Misuse): boolean {
  return kind === 'closed-active' && name === 'C_CloseSession'
}

/** Resolves when a condition holds, looked at each time the loop comes round. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(setImmediate)
}
