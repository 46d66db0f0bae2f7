import { AccountError } from '../accounts/account-error.js'
import { type Account, Accounts } from '../accounts/accounts.js'
import { cliChain, recordOf, untilPlaced } from '../audit/cli-chain.js'
import { isRole, ROLES } from '../auth/actions.js'
import { readInstance } from '../config/config.js'
import { ConfigError } from '../config/config-error.js'
import { readDatabase } from '../config/database.js'
import { readSources } from '../config/sources.js'
import { dataFolder } from '../data/data-folder.js'
import { openStore } from '../store/store.js'
import type { Command } from './arguments.js'
import { EXIT } from './exit-codes.js'

/**
 * Makes and changes accounts, and writes that into the audit. A service that runs on the same data folder knows within 5 s; it, or the next one
 * that starts there, has the audit's entries signed: the token is not needed here.
 */
export async function account(command: Command): Promise<number> {
  const { data, layers } = readSources(process.env, command.flags, () => {})
  if (data === undefined) throw new ConfigError('--data', 'nothing', 'the data folder that ssm init made')
  const store = await openStore(readDatabase(layers) ?? dataFolder(data).store, 'refuse')
  const accounts = new Accounts(store, recordOf(cliChain(readInstance(layers))))
  try {
    process.stdout.write(await untilPlaced(() => run(command, accounts)))
    return EXIT.OK
  } catch (error) {
    if (!(error instanceof AccountError)) throw error
    process.stderr.write(`ssm: ${error.message}\n`)
    return EXIT.CONFIGURATION
  } finally {
    await store.destroy()
  }
}

async function run({ name, argument, own }: Command, accounts: Accounts): Promise<string> {
  const json = own.has('json')
  switch (name) {
    case 'account add': {
      const role = own.get('role')
      if (role === undefined || !isRole(role)) {
        throw new ConfigError(
          '--role',
          role === undefined ? 'nothing' : JSON.stringify(role),
          `one of ${ROLES.join(', ')}`,
        )
      }
      return passwordText(argument, await accounts.add(argument, role), json)
    }
    case 'account reset-password':
      return passwordText(argument, await accounts.resetPassword(argument), json)
    case 'account disable':
      await accounts.disable(argument)
      return `ssm: ${argument} is disabled: it logs in no more, and its tokens are refused within 5 s\n`
    default:
      return listText(await accounts.list(), json)
  }
}

function passwordText(serviceId: string, password: string, json: boolean): string {
  if (json) return `${JSON.stringify({ service_id: serviceId, password })}\n`
  return `ssm: the password of ${serviceId}, shown this once: ${password}\n`
}

function listText(accounts: readonly Account[], json: boolean): string {
  if (json) {
    const shown = accounts.map(({ serviceId, role, disabledAt, createdAt }) => ({
      service_id: serviceId,
      role,
      disabled_at: disabledAt ?? null,
      created_at: createdAt,
    }))
    return `${JSON.stringify({ accounts: shown })}\n`
  }
  const rows = accounts.map(({ serviceId, role, disabledAt }) => {
    const state = disabledAt === undefined ? 'enabled' : `disabled since ${disabledAt}`
    return `${serviceId.padEnd(24)}  ${role.padEnd(12)}  ${state}\n`
  })
  return rows.join('')
}
