import { parseArgs } from 'node:util'
import type { Action } from '../rule.js'
import { didYouMean } from '../nearest.js'
import { UsageError } from './exit-codes.js'

export interface Options {
  control?: string | undefined
  json: boolean
}

export interface RunCommand {
  name: 'run'
  module: string
  rules: string[]
  command: string[]
  failOnMisuse: boolean
  quiet: boolean
}

/** What a command line asks for. */
export type Command =
  | { name: 'help' | 'version' | 'path' | 'stats' | 'misuse' | 'reset' | 'rule list' | 'rule clear' }
  | { name: 'rule add'; words: string[] }
  | { name: 'rule remove'; id: string }
  | { name: 'release'; id: string | undefined }
  | { name: 'act'; action: Action; slot: number | undefined }
  | RunCommand

const COMMANDS = ['run', 'path', 'rule', 'release', 'act', 'stats', 'misuse', 'reset', 'help', 'version']
const RULE_COMMANDS = ['add', 'list', 'remove', 'clear']
const ACTIONS: readonly Action[] = ['dropSessions', 'logOut', 'loseInitialization', 'removeToken', 'insertToken']
const OPTIONS = {
  control: { type: 'string' },
  module: { type: 'string' },
  rule: { type: 'string', multiple: true },
  slot: { type: 'string' },
  json: { type: 'boolean' },
  quiet: { type: 'boolean' },
  'fail-on-misuse': { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean', short: 'V' },
} as const

/** Which options each command takes, beside `control` and `json`. */
const TAKES: Record<string, readonly string[]> = { run: ['module', 'rule', 'quiet', 'fail-on-misuse'], act: ['slot'] }

type Values = ReturnType<typeof parse>['values']

function parse(args: readonly string[]) {
  return parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true })
}

/** @throws UsageError */
export function parseCommand(all: readonly string[]): { command: Command; options: Options } {
  const separator = all.indexOf('--')
  const args = separator < 0 ? all : all.slice(0, separator)
  const { values, positionals } = parseKnown(args)
  const options = { control: values.control, json: values.json ?? false }
  if (values.help === true) return { command: { name: 'help' }, options }
  if (values.version === true) return { command: { name: 'version' }, options }

  const [name, ...rest] = positionals
  if (name === undefined) throw new UsageError(`got no command, expected one of ${COMMANDS.join(', ')}`)
  if (!COMMANDS.includes(name)) throw unknown('command', name, COMMANDS)
  for (const option of Object.keys(values)) {
    const takes = ['control', 'json', ...(TAKES[name] ?? [])]
    if (!takes.includes(option)) throw new UsageError(`got --${option}, which '${name}' does not take`)
  }
  if (name !== 'run' && separator >= 0) throw new UsageError(`got --, which only 'run' takes`)
  return { command: commandOf(name, rest, values, all.slice(separator + 1), separator >= 0), options }
}

function commandOf(name: string, rest: string[], values: Values, command: string[], separated: boolean): Command {
  switch (name) {
    case 'run':
      if (rest[0] !== undefined) throw new UsageError(`got '${rest[0]}', expected the command to run behind --`)
      if (!separated || command.length === 0) throw new UsageError('got no command to run, expected one behind --')
      if (values.module === undefined)
        throw new UsageError('got no --module, expected the path of the real PKCS#11 module')
      return {
        name,
        module: values.module,
        rules: values.rule ?? [],
        command,
        failOnMisuse: values['fail-on-misuse'] ?? false,
        quiet: values.quiet ?? false,
      }
    case 'rule':
      return ruleCommand(rest)
    case 'release':
      none(rest.slice(1))
      return { name, id: rest[0] }
    case 'act': {
      none(rest.slice(1))
      const action = ACTIONS.find((each) => each === rest[0])
      if (action === undefined) throw unknown('action', rest[0], ACTIONS)
      return { name, action, slot: slotOf(values.slot) }
    }
    case 'path':
    case 'stats':
    case 'misuse':
    case 'reset':
    case 'help':
    case 'version':
      none(rest)
      return { name }
    default:
      throw unknown('command', name, COMMANDS)
  }
}

function ruleCommand([name, ...rest]: string[]): Command {
  switch (name) {
    case 'add': {
      // quoted as one argument, as `run --rule` has it, or not
      const words = rest.join(' ').split(/\s+/).filter(Boolean)
      if (words.length === 0) throw new UsageError("got no rule, expected one such as 'C_Sign fail=CKR_DEVICE_ERROR'")
      return { name: 'rule add', words }
    }
    case 'remove': {
      const [id, ...more] = rest
      none(more)
      if (id === undefined) throw new UsageError("got no id, expected that of a rule: see 'rule list'")
      return { name: 'rule remove', id }
    }
    case 'list':
    case 'clear':
      none(rest)
      return { name: `rule ${name}` }
    default:
      throw unknown('rule command', name, RULE_COMMANDS)
  }
}

function parseKnown(args: readonly string[]): ReturnType<typeof parse> {
  try {
    return parse(args)
  } catch (error) {
    if (!(error instanceof Error)) throw error
    const option = /Unknown option '--([^'=]+)/.exec(error.message)?.[1]
    if (option !== undefined)
      throw new UsageError(`got --${option}, which is no option${didYouMean(option, Object.keys(OPTIONS))}`)
    throw new UsageError(error.message)
  }
}

function none([extra]: readonly string[]): void {
  if (extra !== undefined) throw new UsageError(`got '${extra}', expected nothing more`)
}

function slotOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const slot = Number(text)
  if (text === '' || !Number.isSafeInteger(slot) || slot < 0)
    throw new UsageError(`got --slot '${text}', expected the id of a slot`)
  return slot
}

function unknown(what: string, got: string | undefined, known: readonly string[]): UsageError {
  if (got === undefined) return new UsageError(`got no ${what}, expected one of ${known.join(', ')}`)
  return new UsageError(`got ${what} '${got}', expected one of ${known.join(', ')}${didYouMean(got, known)}`)
}
