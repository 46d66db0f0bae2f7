import { faultOf, hasPassword } from '../store/database-url.js'
import { ConfigError } from './config-error.js'
import type { Layers } from './layers.js'

/**
 * The URL of the database, where there is one. No error shows it: it may hold a password.
 *
 * @throws ConfigError on what is no such URL, and on a password on the command line
 */
export function readDatabase(layers: Layers): string | undefined {
  const given = layers.text('database')
  if (given === undefined) return undefined
  const { source, value } = given
  const fault = faultOf(value)
  if (fault !== undefined) throw new ConfigError(source, fault.got, fault.expected)
  if (source.startsWith('--') && hasPassword(value)) {
    throw new ConfigError(
      source,
      'a password on the command line, where every user can read it',
      'the URL without it, and the password in PGPASSWORD or a file that PGPASSFILE names; or the whole URL in SSM_DATABASE',
    )
  }
  return value
}
