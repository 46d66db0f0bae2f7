import { didYouMean } from '../nearest.js'
import { ConfigError } from './config-error.js'
import { SETTINGS, type Setting } from './settings.js'

const ALL: readonly Setting[] = Object.values(SETTINGS)
const VARIABLES = ALL.map(({ env }) => env)
const FLAGS = ALL.flatMap(({ flag }) => (flag === null ? [] : [`--${flag}`]))

/** @throws ConfigError for a variable that is no setting's, naming the nearest that is */
export function requireKnownVariable(name: string): void {
  if (VARIABLES.includes(name)) return
  throw new ConfigError(name, 'an unknown variable', `one of ${VARIABLES.join(', ')}${didYouMean(name, VARIABLES)}`)
}

/**
 * @param flag without the leading `--`
 * @throws ConfigError for a flag that is no setting's, naming the nearest that is; never with its value, which may be a PIN
 */
export function requireKnownFlag(flag: string): void {
  if (flag === 'pin') {
    throw new ConfigError('--pin', 'a PIN on the command line, where every user can read it', '--pin-file or SSM_PIN')
  }
  const name = `--${flag}`
  if (FLAGS.includes(name)) return
  throw new ConfigError(name, 'an unknown flag', `one of ${FLAGS.join(', ')}${didYouMean(name, FLAGS)}`)
}
