import { SETTINGS, type Setting } from '../config/settings.js'

/** The text of `ssm --help`. */
export function helpText(): string {
  const settings: Setting[] = Object.values(SETTINGS)
  const rows = settings.map(({ env, flag, placeholder, help }): [string, string, string] => [
    flag === null ? '' : `--${flag}${placeholder === null ? '' : ` ${placeholder}`}`,
    env,
    help,
  ])
  const widths = [0, 1].map((column) => Math.max(...rows.map((row) => (row[column] ?? '').length)))
  const lines = rows.map(
    ([flag, env, help]) => `  ${flag.padEnd(widths[0] ?? 0)}  ${env.padEnd(widths[1] ?? 0)}  ${help}`,
  )
  return `ssm, the Simple Secret Manager: keys in an HSM, used over HTTP.

Usage:
  ssm serve [flags]    listens until SIGTERM or SIGINT; a second signal ends it at once
  ssm --help           this text
  ssm --version        the version

Settings, by flag or by environment; a flag counts before the environment:
${lines.join('\n')}

One of --token-label, --token-serial and --lots-number, and one of --pin-file and SSM_PIN, is required.
There is no authentication yet, so the service listens on loopback only.

Exit status: 0 stopped as asked; 1 a failure that may pass; 2 wrong usage, configuration or PIN: starting again will not help.

Example:
  ssm serve --pkcs-path /usr/lib/softhsm/libsofthsm2.so --token-label demo --pin-file /run/secrets/pin
`
}
