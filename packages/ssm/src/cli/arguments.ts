import { parseArgs } from 'node:util'
import { ConfigError } from '../config/config-error.js'
import { settingOfFlag } from '../config/known-names.js'
import { SETTINGS, type Setting } from '../config/settings.js'
import { didYouMean } from '../nearest.js'

/** Flags of single commands, which are no settings. */
const OWN_FLAGS = {
  json: { type: 'boolean' },
  role: { type: 'string' },
  revoke: { type: 'boolean' },
  file: { type: 'string' },
  'public-key': { type: 'string' },
} as const

export type OwnFlag = keyof typeof OWN_FLAGS

interface CommandShape {
  flags: readonly OwnFlag[]
  /** what the one argument is, where the command takes one */
  argument?: string
}

const COMMANDS = {
  serve: { flags: [] },
  init: { flags: ['json'] },
  'account add': { flags: ['json', 'role'], argument: 'SERVICE_ID' },
  'account disable': { flags: [], argument: 'SERVICE_ID' },
  'account reset-password': { flags: ['json'], argument: 'SERVICE_ID' },
  'account list': { flags: ['json'] },
  'signing-key rotate': { flags: ['revoke'] },
  'audit verify': { flags: ['file', 'public-key'] },
  'audit export': { flags: [] },
  'config check': { flags: ['json'] },
  'config example': { flags: [] },
  help: { flags: [] },
  version: { flags: [] },
} as const satisfies Record<string, CommandShape>

export type CommandName = keyof typeof COMMANDS

/** What the command line asks for. */
export interface Command {
  name: CommandName
  /** those that are settings */
  flags: ReadonlyMap<string, string>
  /** the command's own; of switches those that are on */
  own: ReadonlyMap<OwnFlag, string>
  /** empty where the command takes none */
  argument: string
}

/** @throws ConfigError on an unknown command or flag, a flag without its value or given twice, an argument missing or too many */
export function parseCommand(args: readonly string[]): Command {
  const settings: Setting[] = Object.values(SETTINGS)
  const options = Object.fromEntries(
    settings.flatMap(({ flag, alias, placeholder }) =>
      [flag, alias].flatMap((name) =>
        name === null || name === undefined
          ? []
          : [[name, { type: placeholder === null ? 'boolean' : 'string' } as const]],
      ),
    ),
  )
  // not strict: our own checks name the flag that was probably meant
  const { tokens, positionals } = parseArgs({
    args: [...args],
    options: {
      ...options,
      ...OWN_FLAGS,
      help: { type: 'boolean', short: 'h' },
      version: { type: 'boolean', short: 'V' },
    },
    allowPositionals: true,
    strict: false,
    tokens: true,
  })

  const flags = new Map<string, string>()
  const own = new Map<OwnFlag, string>()
  const given = new Set<string>()
  for (const token of tokens) {
    if (token.kind !== 'option') continue
    const { name } = token
    if (name === 'help' || name === 'version') {
      if (token.value !== undefined) throw new ConfigError(`--${name}`, JSON.stringify(token.value), 'no value')
      return { name, flags, own, argument: '' }
    }
    const isOwn = isOwnFlag(name)
    // here already: what follows an unknown flag may be its value, and no argument of its own
    if (!isOwn) settingOfFlag(name, Object.keys(OWN_FLAGS))
    const isSwitch = (isOwn ? OWN_FLAGS[name] : options[name])?.type === 'boolean'
    const value = token.value ?? (isSwitch ? 'true' : undefined)
    if (value === undefined) throw new ConfigError(`--${name}`, 'nothing', 'a value')
    if (given.has(name)) throw new ConfigError(`--${name}`, 'the flag twice', 'it once')
    given.add(name)
    if (!isOwn) flags.set(name, value)
    else if (!isSwitch || readSwitch(name, value)) own.set(name, value)
  }
  const { name, rest } = commandOf(positionals)
  for (const flag of given) if (isOwnFlag(flag)) requireFlagOf(name, flag)
  return { name, flags, own, argument: argumentOf(name, rest) }
}

/** A switch that is a setting is read with the setting. */
function readSwitch(name: OwnFlag, value: string): boolean {
  if (value === 'true' || value === 'false') return value === 'true'
  throw new ConfigError(`--${name}`, JSON.stringify(value), 'true, false or no value')
}

function commandOf(positionals: readonly string[]): { name: CommandName; rest: readonly string[] } {
  const [first, second] = positionals
  if (first === undefined) {
    throw new ConfigError(
      'command',
      'none',
      'one of serve, init, account, audit, signing-key, config, help, version; try ssm --help',
    )
  }
  if (isCommand(first)) return { name: first, rest: positionals.slice(1) }
  const known = Object.keys(COMMANDS)
  const verbs = known.filter((name) => name.startsWith(`${first} `)).map((name) => name.slice(first.length + 1))
  const both = `${first} ${second ?? ''}`
  if (isCommand(both)) return { name: both, rest: positionals.slice(2) }
  if (verbs.length === 0) {
    const words = [...new Set(known.map((name) => name.split(' ', 1)[0] ?? ''))]
    throw new ConfigError('command', JSON.stringify(first), `one of ${words.join(', ')}${didYouMean(first, words)}`)
  }
  const got = second === undefined ? 'nothing' : JSON.stringify(second)
  throw new ConfigError(`ssm ${first}`, got, `one of ${verbs.join(', ')}${didYouMean(second ?? '', verbs)}`)
}

function argumentOf(name: CommandName, rest: readonly string[]): string {
  const { argument }: CommandShape = COMMANDS[name]
  const [given, ...more] = rest
  if (argument === undefined) {
    if (given === undefined) return ''
    throw new ConfigError(`ssm ${name}`, 'an argument that belongs to no flag', 'only flags; try ssm --help')
  }
  if (given === undefined) throw new ConfigError(`ssm ${name}`, 'nothing', `${argument}; try ssm --help`)
  if (more.length > 0) throw new ConfigError(`ssm ${name}`, `${rest.length} arguments`, `one, ${argument}`)
  return given
}

function requireFlagOf(name: CommandName, flag: OwnFlag): void {
  const { flags }: CommandShape = COMMANDS[name]
  if (flags.includes(flag)) return
  throw new ConfigError(`--${flag}`, `a flag that ssm ${name} does not have`, 'another; try ssm --help')
}

function isCommand(name: string): name is CommandName {
  return Object.hasOwn(COMMANDS, name)
}

function isOwnFlag(name: string): name is OwnFlag {
  return Object.hasOwn(OWN_FLAGS, name)
}
