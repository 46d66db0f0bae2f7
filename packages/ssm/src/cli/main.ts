import { ERROR_HELP, type ErrorCode, Pkcs11PoolError } from 'pkcs11-pool'
import { AuditBroken } from '../audit/chain-verifier.js'
import { RotationUnderWay } from '../auth/rotate-signing-key.js'
import { SigningKeyMissing } from '../auth/signing-keys.js'
import { ConfigError } from '../config/config-error.js'
import { packageVersion } from '../package-version.js'
import { StoreError } from '../store/store-error.js'
import { type Command, parseCommand } from './arguments.js'
import { EXIT } from './exit-codes.js'
import { helpText } from './help.js'

/**
 * The library's errors that starting again does not mend. A rejected PIN above all: each start would use up one of the token's tries.
 * A token that is not found is none of them, because it may be on its way.
 */
const CONFIGURATION_ERRORS: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'INVALID_OPTION',
  'MODULE_LOAD_FAILED',
  'TOKEN_AMBIGUOUS',
  'TOKEN_NOT_INITIALIZED',
  'PIN_UNAVAILABLE',
  'CREDENTIALS_REJECTED',
])

/** Runs the command and gives its exit status. What is asked for goes to standard output, errors to standard error. */
export async function main(args: readonly string[]): Promise<number> {
  let command: Command | undefined
  try {
    command = parseCommand(args)
    // each loads what it needs: most commands need no web server
    switch (command.name) {
      case 'help':
        process.stdout.write(helpText())
        return EXIT.OK
      case 'version':
        process.stdout.write(`${packageVersion()}\n`)
        return EXIT.OK
      case 'serve':
        return await (await import('./serve.js')).serve(command.flags)
      case 'init':
        return await (await import('./init.js')).init(command)
      case 'signing-key rotate':
        return await (await import('./signing-key.js')).rotate(command)
      case 'audit verify':
        return await (await import('./audit.js')).verifyAudit(command)
      case 'audit export':
        return await (await import('./audit.js')).exportAudit(command)
      case 'config check':
        return await (await import('./config.js')).checkConfiguration(command)
      case 'config example':
        return await (await import('./config.js')).showExample(command)
      default:
        return await (await import('./account.js')).account(command)
    }
  } catch (error) {
    process.stderr.write(`ssm: ${describe(error)}\n`)
    if (isConfiguration(error)) return EXIT.CONFIGURATION
    return command?.name === 'audit verify' ? EXIT.UNREAD : EXIT.FAILURE
  }
}

function isConfiguration(error: unknown): boolean {
  if (error instanceof SigningKeyMissing || error instanceof AuditBroken) return true
  if (error instanceof StoreError && error.code === 'STORE_MISSING') return true
  return error instanceof ConfigError || (error instanceof Pkcs11PoolError && CONFIGURATION_ERRORS.has(error.code))
}

/** What there is to do for whoever starts a service; the library tells programs. */
const NEXT: Partial<Record<ErrorCode, string>> = {
  CREDENTIALS_REJECTED: 'correct the PIN (and unlock the token where it is locked), then start again',
}

/** What happened, and what to do about it. */
function describe(error: unknown): string {
  if (error instanceof Pkcs11PoolError)
    return `${error.message} (${error.code})\nssm: next: ${NEXT[error.code] ?? ERROR_HELP[error.code].action}`
  if (error instanceof ConfigError || error instanceof SigningKeyMissing || error instanceof RotationUnderWay)
    return error.message
  if (error instanceof AuditBroken)
    return `the audit is not what was written: ${error.message}\nssm: next: ${BROKEN_HELP}`
  if (error instanceof StoreError) return `${error.message} (${error.code})${storeHelp(error.code)}`
  if (error instanceof Error && 'code' in error) return `${error.message}\nssm: next: ${systemHelp(error)}`
  if (!(error instanceof Error)) return String(error)
  // ours say what to do; of others, only where they come from helps
  return error.name === 'Error' ? error.message : (error.stack ?? error.message)
}

/** Errors of the store whose message does. */
const SAYS_WHAT_TO_DO = new Set(['DRIVER_MISSING', 'INSTANCE_TAKEN', 'DATA_IN_USE', 'STORE_MISSING'])

const BROKEN_HELP =
  'keep the data folder, the database and the token as they are, and find out who changed what; to go on, begin another chain with SSM_INSTANCE ' +
  'and a name of your own: this one stays as it was found, and ssm audit verify says so for ever'

function storeHelp(code: string): string {
  return SAYS_WHAT_TO_DO.has(code)
    ? ''
    : '\nssm: next: look at the data folder and its disk, or at the database that is set'
}

function systemHelp(error: Error & { code: unknown; syscall?: unknown; port?: unknown }): string {
  const code = String(error.code)
  // a socket's path is told with the port -1
  const isPort = typeof error.port === 'number' && error.port > 0
  if (error.syscall === 'listen') return (isPort ? PORT_HELP : SOCKET_HELP)[code] ?? SYSTEM_HELP
  if (code === 'EACCES' || code === 'EPERM') return 'start it as a user who may do that, or let this one'
  return SYSTEM_HELP
}

const SYSTEM_HELP = 'correct what the message names and start again'
const PORT_HELP: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another program listens there: stop it, or choose another port with --bind-addr',
  EACCES: 'ports below 1024 need privileges: choose another with --bind-addr',
  EADDRNOTAVAIL: 'this machine has no such address: choose one that it has with --bind-addr',
}
const SOCKET_HELP: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another program listens there, or it is no socket: stop that or move it away, or choose another path',
  EACCES: 'make its folder, and let the user that runs this write in it',
}
