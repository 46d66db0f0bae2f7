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
  ssm init --data DIR [--json]                 makes the data folder, the service's keys, and an account a role; with a SoftHSM token,
                                               unless the settings of another are given
  ssm serve --data DIR [flags]                 listens until SIGTERM or SIGINT; a second signal ends it at once
  ssm account list --data DIR [--json]         who may log in
  ssm account add SERVICE_ID --role ROLE       makes an account (udm, webconsole) and shows its password [--json]
  ssm account reset-password SERVICE_ID        shows a new password; tokens of the old one end, a disabled account is let in again [--json]
  ssm account disable SERVICE_ID               ends an account and its tokens
  ssm signing-key rotate --data DIR [--revoke] makes a new key for tokens; those of older keys stay good, unless revoked
  ssm audit export --data DIR                  writes the audit to standard output, an entry a line
  ssm audit verify --data DIR | --file EXPORT  tells whether the audit is what was written; 1 where it is not, and which entry
                                               [--public-key PEM: the key to trust; else the data folder's, else the export's own]
  ssm config check [--config FILE] [--json]    says all that is wrong with the configuration that serve would read; 2 where something is
  ssm config example [flags]                   writes a YAML file with every setting explained, and in force those given by flags
  ssm --help                                   this text
  ssm --version                                the version

Settings, by flag, by environment, or by their names in a YAML file; a flag counts before the environment, and that before files:
${lines.join('\n')}

The data folder holds the settings of its token. Without TLS (--is-https) the service listens on loopback or a Unix socket only.

Exit status: 0 stopped as asked; 1 a failure that may pass; 2 wrong usage, configuration or PIN: starting again will not help.
Of ssm audit verify: 1 the audit is not what was written; 3 it could not be read.

Example:
  ssm init --data /var/lib/ssm
  ssm serve --data /var/lib/ssm --listen 127.0.0.1:9000
`
}
