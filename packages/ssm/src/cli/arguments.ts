import { parseArgs } from 'node:util'
import { ConfigError } from '../config/config-error.js'
import { requireKnownFlag } from '../config/known-names.js'
import { SETTINGS, type Setting } from '../config/settings.js'
import { didYouMean } from '../nearest.js'

/** What the command line asks for. */
export type Command = { name: 'help' } | { name: 'version' } | { name: 'serve'; flags: Map<string, string> }

const COMMANDS = ['serve', 'help', 'version']

/** @throws ConfigError on an unknown command or flag, a flag without its value, or one given twice */
export function parseCommand(args: readonly string[]): Command {
  const settings: Setting[] = Object.values(SETTINGS)
  const options = Object.fromEntries(
    settings.flatMap(({ flag, placeholder }) =>
      flag === null ? [] : [[flag, { type: placeholder === null ? 'boolean' : 'string' } as const]],
    ),
  )
  // not strict: our own checks name the flag that was probably meant
  const { tokens, positionals } = parseArgs({
    args: [...args],
    options: { ...options, help: { type: 'boolean', short: 'h' }, version: { type: 'boolean', short: 'V' } },
    allowPositionals: true,
    strict: false,
    tokens: true,
  })

  const flags = new Map<string, string>()
  for (const token of tokens) {
    if (token.kind !== 'option') continue
    if (token.name === 'help' || token.name === 'version') return { name: token.name }
    // here already: what follows an unknown flag may be its value, and no argument of its own
    requireKnownFlag(token.name)
    const isSwitch = options[token.name]?.type === 'boolean'
    const value = token.value ?? (isSwitch ? 'true' : undefined)
    if (value === undefined) throw new ConfigError(`--${token.name}`, 'nothing', 'a value')
    if (flags.has(token.name)) throw new ConfigError(`--${token.name}`, 'the flag twice', 'it once')
    flags.set(token.name, value)
  }

  const [command, ...rest] = positionals
  if (command === undefined) throw new ConfigError('command', 'none', 'one of serve, help, version; try ssm --help')
  if (!COMMANDS.includes(command)) {
    throw new ConfigError(
      'command',
      JSON.stringify(command),
      `one of ${COMMANDS.join(', ')}${didYouMean(command, COMMANDS)}`,
    )
  }
  if (command === 'serve') {
    if (rest.length > 0)
      throw new ConfigError('ssm serve', 'an argument that belongs to no flag', 'only flags; try ssm --help')
    return { name: 'serve', flags }
  }
  return { name: command === 'help' ? 'help' : 'version' }
}
