import { ChaosError } from './errors.js'
import { FUNCTION_NAMES, type FunctionName } from './function-names.js'
import { didYouMean } from './nearest.js'
import { RETURN_VALUES } from './return-values.js'
import { type Action, type Rule, TOKEN_FLAGS, type TokenFlag } from './rule.js'

type Word = [name: string, value: string | number]
type Writer = (value: never) => Word[]

const ACTIONS: readonly Action[] = ['dropSessions', 'logOut', 'loseInitialization', 'removeToken', 'insertToken']
const MAX_DELAY_MS = 2 ** 31 - 1

/** What each member of a rule is in the text that the module reads (`native/rule-text.cc`), its values checked. */
const CALLS: Record<string, Writer> = {
  on: (value: Rule['on']) => [['on', value === '*' ? '*' : functionList(value)]],
  nth: (value: number) => [['nth', whole('nth', value, 1)]],
  every: (value: number) => [['every', whole('every', value, 1)]],
  probability: (value: number) => [['probability', within('probability', value, 0, 1)]],
  seed: (value: number) => [['seed', whole('seed', value, 0)]],
  times: (value: number) => (value === Number.POSITIVE_INFINITY ? [] : [['times', whole('times', value, 1)]]),
  from: (value: string) => [['from', functionName('from', value)]],
  until: (value: string) => [['until', functionName('until', value)]],
  slot: (value: number) => [['slot', whole('slot', value, 0)]],
  phase: (value: string) => [['after', oneOf('phase', value, ['before', 'after']) === 'after' ? 1 : 0]],
}

const EFFECTS: Record<string, Writer> = {
  fail: (value: unknown) => [['fail', failure('fail', value)]],
  delayMs: (value: unknown) => [['delay', delay(value)]],
  hang: (value: unknown) => [['hang', yes('hang', value)]],
  crash: (value: string) => [['crash', oneOf('crash', value, ['abort', 'kill'])]],
  act: (value: string) => [['act', oneOf('act', value, ACTIONS)]],
  throttle: (value: unknown) => {
    const { perSecond, burst, rv } = members('throttle', value, ['perSecond', 'burst', 'rv'])
    return [
      ['throttle', within('throttle.perSecond', perSecond, 0, 1e9)],
      ...(burst === undefined ? [] : [['burst', within('throttle.burst', burst, 1, 1e9)] satisfies Word]),
      ...(rv === undefined ? [] : [['rv', failure('throttle.rv', rv)] satisfies Word]),
    ]
  },
  sessionLimit: (value: unknown) => [['sessionLimit', whole('sessionLimit', value, 0)]],
  tokenInfo: (value: unknown) => {
    const { set, clear, maxSessions } = members('tokenInfo', value, ['set', 'clear', 'maxSessions'])
    return [
      ['tokenInfo', 1],
      ['setFlags', tokenFlags('tokenInfo.set', set)],
      ['clearFlags', tokenFlags('tokenInfo.clear', clear)],
      ...(maxSessions === undefined
        ? []
        : [['maxSessions', whole('tokenInfo.maxSessions', maxSessions, 0)] satisfies Word]),
    ]
  },
  removeToken: (value: unknown) => [['removeToken', yes('removeToken', value)]],
}

const DEFAULT_FUNCTIONS: Record<string, FunctionName> = { sessionLimit: 'C_OpenSession', tokenInfo: 'C_GetTokenInfo' }

/**
 * A rule as the text that processes read.
 *
 * @throws INVALID_RULE for an unknown member (with the nearest known one), a value that is not allowed, and none or two effects
 */
export function formatRule(rule: Rule): string {
  const given = Object.entries(asObject('the rule', rule)).filter(([, value]) => value !== undefined)
  const known = [...Object.keys(CALLS), ...Object.keys(EFFECTS)]
  for (const [name] of given) {
    if (!known.includes(name)) refuse(`got '${name}', which no rule has${didYouMean(name, known)}`)
  }
  const effects = given.filter(([name]) => name in EFFECTS).map(([name]) => name)
  const [effect, second] = effects
  if (effect === undefined) refuse(`got no effect, expected one of ${Object.keys(EFFECTS).join(', ')}`)
  if (second !== undefined) refuse(`got two effects, ${effects.join(' and ')}, expected one: make a rule of each`)

  const all = new Map<string, unknown>(given)
  const defaultFunction = DEFAULT_FUNCTIONS[effect]
  if (!all.has('on') && defaultFunction !== undefined) all.set('on', defaultFunction)
  if (!all.has('on') && effect !== 'removeToken') {
    refuse(`got no 'on' for ${effect}, expected a function, a list of them, or '*' for all`)
  }
  // what C_GetTokenInfo says can only be changed when it has said it
  if (effect === 'tokenInfo') all.set('phase', 'after')
  const words = [...all].flatMap(([name, value]) => (CALLS[name] ?? EFFECTS[name])?.(value as never) ?? [])
  return words.map(([name, value]) => `${name}=${value}`).join(' ')
}

function refuse(what: string): never {
  throw new ChaosError('INVALID_RULE', what)
}

function show(value: unknown): string {
  return typeof value === 'bigint' ? String(value) : (JSON.stringify(value) ?? String(value))
}

function asObject(name: string, value: unknown): object {
  if (typeof value !== 'object' || value === null) refuse(`got ${name} ${show(value)}, expected an object`)
  return value
}

function members(name: string, value: unknown, known: readonly string[]): Record<string, unknown> {
  const given = asObject(name, value)
  for (const each of Object.keys(given)) {
    if (!known.includes(each)) refuse(`got '${name}.${each}', which is none${didYouMean(each, known)}`)
  }
  return { ...given }
}

function within(name: string, value: unknown, min: number, max: number): number {
  if (typeof value !== 'number' || !(value >= min && value <= max)) {
    refuse(`got ${name} ${show(value)}, expected a number from ${min} to ${max}`)
  }
  return value
}

function whole(name: string, value: unknown, min: number): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < min) {
    refuse(`got ${name} ${show(value)}, expected a whole number of ${min} or more`)
  }
  return value
}

function yes(name: string, value: unknown): 1 {
  if (value !== true) refuse(`got ${name} ${show(value)}, expected true`)
  return 1
}

function oneOf<T extends string>(name: string, value: unknown, known: readonly T[]): T {
  const found = known.find((each) => each === value)
  return found ?? refuse(`got ${name} ${show(value)}, expected one of ${known.join(', ')}`)
}

function functionName(name: string, value: unknown): FunctionName {
  const found = FUNCTION_NAMES.find((each) => each === value)
  return (
    found ??
    refuse(`got ${name} ${show(value)}, expected a function of PKCS#11${didYouMean(String(value), FUNCTION_NAMES)}`)
  )
}

function functionList(value: unknown): string {
  const list: readonly unknown[] = Array.isArray(value) ? value : [value]
  if (list.length === 0) refuse("got an empty list for 'on', expected a function, a list of them, or '*' for all")
  return list.map((each) => functionName('on', each)).join(',')
}

function failure(name: string, value: unknown): number {
  if (value === 0 || value === 'CKR_OK') refuse(`got ${name} CKR_OK, which is no failure: it would falsify results`)
  if (typeof value === 'number') return whole(name, value, 1)
  const found = Object.entries(RETURN_VALUES).find(([each]) => each === value)
  return (
    found?.[1] ??
    refuse(
      `got ${name} ${show(value)}, expected a CKR_ name or number${didYouMean(String(value), Object.keys(RETURN_VALUES))}`,
    )
  )
}

function delay(value: unknown): string {
  const range: unknown[] = Array.isArray(value) ? value : [value, value]
  const [min, max, ...more] = range
  if (more.length > 0) refuse(`got delayMs ${show(value)}, expected a number or two`)
  const from = within('delayMs', min, 0, MAX_DELAY_MS)
  return `${from}-${within('delayMs', max, from, MAX_DELAY_MS)}`
}

function tokenFlags(name: string, value: unknown): number {
  if (value === undefined) return 0
  if (!Array.isArray(value)) refuse(`got ${name} ${show(value)}, expected a list of flags`)
  const known = Object.keys(TOKEN_FLAGS) as TokenFlag[]
  return value.reduce<number>((flags, each) => flags | TOKEN_FLAGS[oneOf(name, each, known)], 0)
}
