import { didYouMean } from '../nearest.js'
import type { Rule, RuleCalls, RuleEffects } from '../rule.js'
import { UsageError } from './exit-codes.js'

type Value = string | number | boolean | readonly (string | number)[]

/** Numbers as numbers; all else as it is, for the rule's own check to name it. */
const number = (text: string): string | number => (text === '' || Number.isNaN(Number(text)) ? text : Number(text))
const list = (text: string): string[] => text.split(',')
const same = (text: string): string => text

const CALLS: Record<Exclude<keyof RuleCalls, 'on'>, (text: string) => Value> = {
  nth: number,
  every: number,
  probability: number,
  seed: number,
  times: number,
  from: same,
  until: same,
  slot: number,
  phase: same,
}

const EFFECTS: Record<
  Exclude<keyof RuleEffects, 'throttle' | 'tokenInfo' | 'hang' | 'removeToken'>,
  (text: string) => Value
> = {
  fail: number,
  delayMs: (text) => (/^[\d.]+-[\d.]+$/.test(text) ? text.split('-').map(number) : number(text)),
  crash: same,
  act: same,
  sessionLimit: number,
}

/** Effects that are there or not. */
const FLAGS = ['hang', 'removeToken'] as const

/** The members of the effects that have several. */
const THROTTLE: Record<string, string> = { throttle: 'perSecond', burst: 'burst', rv: 'rv' }
const TOKEN_INFO: Record<string, string> = { setFlags: 'set', clearFlags: 'clear', maxSessions: 'maxSessions' }

const KNOWN = [CALLS, EFFECTS, THROTTLE, TOKEN_INFO].flatMap(Object.keys).concat(FLAGS)

/**
 * A rule from its words on a command line: functions, and `name=value`, by the names of the API.
 *
 * @example parseRuleWords(['C_Sign,C_Verify', 'fail=CKR_DEVICE_ERROR', 'every=3'])
 * @throws UsageError for a word that is none; its value is checked when the rule is set
 */
export function parseRuleWords(words: readonly string[]): Rule {
  const rule = new Map<string, unknown>()
  const functions: string[] = []
  const throttle = new Map<string, Value>()
  const tokenInfo = new Map<string, Value>()
  for (const word of words) {
    const equals = word.indexOf('=')
    const name = equals < 0 ? word : word.slice(0, equals)
    const value = word.slice(name.length + 1)
    const read = Object.entries({ ...CALLS, ...EFFECTS }).find(([each]) => each === name)?.[1]
    if (equals < 0 && FLAGS.some((each) => each === name)) rule.set(name, true)
    else if (equals < 0 && (name === 'all' || name === '*' || name.startsWith('C_'))) functions.push(...list(name))
    else if (equals < 0)
      throw new UsageError(`got '${word}', which is no function and no effect${didYouMean(name, KNOWN)}`)
    else if (name in THROTTLE) throttle.set(THROTTLE[name] ?? '', number(value))
    else if (name in TOKEN_INFO)
      tokenInfo.set(TOKEN_INFO[name] ?? '', name === 'maxSessions' ? number(value) : list(value))
    else if (read !== undefined) rule.set(name, read(value))
    else throw new UsageError(`got '${word}', which no rule has${didYouMean(name, KNOWN)}`)
  }
  if (functions.includes('all') || functions.includes('*')) rule.set('on', '*')
  // whatever else is in the list is refused by name when the rule is checked
  else if (functions.length > 0) rule.set('on', functions)
  if (throttle.size > 0) rule.set('throttle', Object.fromEntries(throttle))
  if (tokenInfo.size > 0) rule.set('tokenInfo', Object.fromEntries(tokenInfo))
  // its shape is checked when it is set: see formatRule
  return Object.fromEntries(rule) as unknown as Rule
}
