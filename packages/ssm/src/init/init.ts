import { createPublicKey, randomBytes } from 'node:crypto'
import { chmodSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Client, createClient } from 'pkcs11-pool'
import { stringify } from 'yaml'
import { Accounts } from '../accounts/accounts.js'
import { AuditLog } from '../audit/audit-log.js'
import { AuditStore } from '../audit/audit-store.js'
import { appendToCliChain, CliChain, cliChain, recordOf } from '../audit/cli-chain.js'
import { serviceEvent } from '../audit/entry.js'
import { KeptHeads } from '../audit/kept-heads.js'
import { AUDIT_KEY_LABEL } from '../audit/signer.js'
import { ROLES, type Role } from '../auth/actions.js'
import { readPublicKeys } from '../auth/signing-keys.js'
import type { TokenAccess } from '../config/config.js'
import { ConfigError } from '../config/config-error.js'
import { type DataFolder, dataFolder } from '../data/data-folder.js'
import { createSoftHsmToken, findSoftHsm } from '../data/soft-hsm.js'
import { hasPassword } from '../store/database-url.js'
import { openStore } from '../store/store.js'
import { createServiceKeys } from './token-keys.js'

/** An account that was made, with the password that nobody can tell again. */
export interface NewAccount {
  serviceId: string
  role: Role
  password: string
}

const TOKEN_LABEL = 'ssm'
/** What a folder may hold that is of the file system and not of anybody. */
const NOBODYS = new Set(['lost+found'])

/**
 * Makes a data folder: a SoftHSM token where no other is given, the service's own keys on the token, the store, and an account a role.
 * The settings are written last: a folder without them was not completed.
 *
 * @param token the token to use instead of one made here
 * @param database where accounts and audit are kept instead of here; where it has accounts, the folder is one more replica's, and none are made
 * @throws ConfigError where the folder is not empty
 */
export async function initialise(
  path: string,
  token: TokenAccess | undefined,
  database?: string,
): Promise<NewAccount[]> {
  const folder = dataFolder(path)
  requireEmpty(folder)
  mkdirSync(path, { recursive: true, mode: 0o700 })
  chmodSync(path, 0o700)
  try {
    return await fill(folder, token, database)
  } catch (error) {
    for (const name of readdirSync(path)) {
      if (!NOBODYS.has(name)) rmSync(join(path, name), { recursive: true, force: true })
    }
    throw error
  }
}

async function fill(
  folder: DataFolder,
  given: TokenAccess | undefined,
  database: string | undefined,
): Promise<NewAccount[]> {
  const token = given ?? (await makeToken(folder))
  const instance = randomBytes(4).toString('hex')
  const client = await createClient({
    module: token.pkcsPath,
    token: token.token,
    pin: token.pin,
    pool: { minSize: 0, maxSize: 1 },
  })
  try {
    await createServiceKeys(client)
    const store = await openStore(database ?? folder.store)
    try {
      const chain = cliChain(instance)
      await store
        .transaction()
        .execute((transaction) => appendToCliChain(transaction, chain, serviceEvent('INIT', new Date())))
      const accounts = await makeAccounts(new Accounts(store, recordOf(chain)))
      await beginAudit(folder, new AuditStore(store), client, instance)
      await writeAuditKeys(folder, client)
      writeFileSync(folder.settings, settingsText(token, instance, given === undefined, database), {
        mode: 0o600,
        flag: 'wx',
      })
      return accounts
    } finally {
      await store.destroy()
    }
  } finally {
    await client.close()
  }
}

async function makeAccounts(accounts: Accounts): Promise<NewAccount[]> {
  const made: NewAccount[] = []
  if ((await accounts.list()).length > 0) return made
  for (const role of ROLES) made.push({ serviceId: role, role, password: await accounts.add(role, role) })
  return made
}

/** The first entries of the audit, signed: a chain without any was tampered with. */
async function beginAudit(folder: DataFolder, store: AuditStore, client: Client, chain: string): Promise<void> {
  const kept = new KeptHeads(client, folder.auditHeads)
  const failures: unknown[] = []
  const onFailure = (error: unknown) => void failures.push(error)
  const log = await AuditLog.open({ store, client, kept, chain, onFailure }, 'INIT')
  await log.close()
  await new CliChain({ store, client, kept, chain: cliChain(chain), onFailure }).sign()
  if (failures.length > 0) throw failures[0]
}

/** For whoever verifies exports elsewhere. */
async function writeAuditKeys(folder: DataFolder, client: Client): Promise<void> {
  const keys = await readPublicKeys(client, AUDIT_KEY_LABEL)
  const pem = keys.map(({ jwk }) =>
    createPublicKey({ key: { ...jwk }, format: 'jwk' }).export({ type: 'spki', format: 'pem' }),
  )
  writeFileSync(folder.auditKey, pem.join(''), { mode: 0o600 })
}

async function makeToken(folder: DataFolder): Promise<TokenAccess> {
  const pkcsPath = findSoftHsm()
  await createSoftHsmToken(folder, TOKEN_LABEL)
  return { pkcsPath, token: { label: TOKEN_LABEL }, pin: { file: folder.pin } }
}

/** Neither a PIN nor a database's password is written here: where it came from the environment, it has to come from there again. */
function settingsText(
  { pkcsPath, token, pin }: TokenAccess,
  instance: string,
  ownToken: boolean,
  database: string | undefined,
): string {
  const selector =
    'label' in token
      ? { tokenLabel: token.label }
      : 'serial' in token
        ? { tokenSerial: token.serial }
        : { lotsNumber: token.slot }
  const settings = {
    instance,
    ...(database !== undefined && !hasPassword(database) && { database }),
    pkcsPath,
    ...selector,
    // relative to this file, so that the folder can be moved
    ...('file' in pin && { pinFile: ownToken ? 'pin' : pin.file }),
  }
  return `# Made by ssm init. Environment and flags count before it.\n${stringify(settings)}`
}

/** @throws ConfigError */
function requireEmpty({ path, settings }: DataFolder): void {
  const stats = statSync(path, { throwIfNoEntry: false })
  if (stats === undefined) return
  if (!stats.isDirectory()) throw new ConfigError('--data', `${path}, which is no folder`, 'a folder')
  if (statSync(settings, { throwIfNoEntry: false }) !== undefined) {
    throw new ConfigError(
      '--data',
      `${path}, which is initialised already`,
      'a folder that is not; nothing was changed. Serve it (ssm serve --data), or make new passwords (ssm account reset-password)',
    )
  }
  if (readdirSync(path).some((name) => !NOBODYS.has(name))) {
    throw new ConfigError(
      '--data',
      `${path}, which is not empty and no data folder`,
      'a folder that is empty or not there yet; if an earlier ssm init was interrupted here, remove what it left',
    )
  }
}
