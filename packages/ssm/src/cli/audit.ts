import { createPublicKey, type JsonWebKey } from 'node:crypto'
import { once } from 'node:events'
import { createReadStream, readFileSync } from 'node:fs'
import type { Client } from 'pkcs11-pool'
import { AuditStore } from '../audit/audit-store.js'
import { AuditBroken } from '../audit/chain-verifier.js'
import { exportLines } from '../audit/export.js'
import { KeptHeads } from '../audit/kept-heads.js'
import { type AuditKeys, AuditSigner, auditKeysOf, readAuditKeys } from '../audit/signer.js'
import { keysOfExport, verifyExport } from '../audit/verify-export.js'
import { type VerifiedChain, verifyStore } from '../audit/verify-store.js'
import { loadConfig } from '../config/config.js'
import { ConfigError } from '../config/config-error.js'
import { readSources } from '../config/sources.js'
import { dataFolder } from '../data/data-folder.js'
import { openClientFor } from '../hsm/open-client.js'
import { openStore } from '../store/store.js'
import type { Command } from './arguments.js'
import { EXIT } from './exit-codes.js'

/** Follows the audit, of a data folder or an export. */
export async function verifyAudit({ flags, own }: Command): Promise<number> {
  const [file, keyFile] = [own.get('file'), own.get('public-key')]
  if (file === undefined && keyFile !== undefined)
    throw new ConfigError('--public-key', 'it alone', '--file EXPORT beside it')
  try {
    if (file === undefined) return await verifyData(flags)
    process.stdout.write(await verifyFile(file, keyFile ?? keyFileOf(flags)))
    return EXIT.OK
  } catch (error) {
    if (!(error instanceof AuditBroken)) throw error
    return tellBroken([error])
  }
}

/** Writes the audit to standard output. */
export function exportAudit({ flags }: Command): Promise<number> {
  return withAudit(flags, async (store, client, kept) => {
    const keys = await readAuditKeys(client)
    for await (const line of exportLines(store, new AuditSigner(client), keys, await kept.read())) {
      if (!process.stdout.write(line)) await once(process.stdout, 'drain')
    }
    return EXIT.OK
  })
}

function verifyData(flags: ReadonlyMap<string, string>): Promise<number> {
  return withAudit(flags, async (store, client, kept) => {
    const { verified, broken } = await verifyStore(store, await readAuditKeys(client), await kept.read())
    process.stdout.write(verified.map(describe).join(''))
    return broken.length === 0 ? EXIT.OK : tellBroken(broken)
  })
}

function tellBroken(broken: readonly AuditBroken[]): number {
  for (const { message } of broken) process.stderr.write(`ssm: the audit is not what was written: ${message}\n`)
  return EXIT.FAILURE
}

/** @param keyFile without one, with the key that the export brings, and says what that is worth */
async function verifyFile(file: string, keyFile: string | undefined): Promise<string> {
  const keys = keyFile === undefined ? await keysOfExport(linesOf(file)) : await readKeys(keyFile)
  const { chains, key } = await verifyExport(linesOf(file), keys)
  const whose =
    keyFile === undefined
      ? `which the export itself brings: nobody changed it who cannot sign. to know that it was exported by your service too, give the key to trust, ` +
        'the audit-public-key.pem of its data folder, by --public-key'
      : `which ${keyFile} holds`
  return `${chains.map(describe).join('')}ssm: signed with the key ${key}, ${whose}\n`
}

/** The file of the data folder, where one is given. */
function keyFileOf(flags: ReadonlyMap<string, string>): string | undefined {
  const { data } = readSources(process.env, flags, () => {})
  return data === undefined ? undefined : dataFolder(data).auditKey
}

function describe({ chain, entries, signed }: VerifiedChain): string {
  const rest = entries - signed
  const unsigned =
    rest === 0 ? 'all of them signed' : `signed up to entry ${signed}; the ${rest} after it are not signed yet`
  return `ssm: chain ${chain}: ${entries} entries, all as they were written, ${unsigned}\n`
}

/** Characters of a line that no export reaches: a file without line ends is not to be read into memory. */
const LONGEST_LINE = 4 * 1024 * 1024

/** The lines of a file with their ends. */
async function* linesOf(file: string): AsyncGenerator<string> {
  let rest = ''
  let count = 0
  for await (const chunk of createReadStream(file, 'utf8')) {
    const parts = (rest + String(chunk)).split('\n')
    rest = parts.pop() ?? ''
    for (const part of parts) yield `${part}\n`
    count += parts.length
    if (rest.length > LONGEST_LINE)
      throw new AuditBroken('?', count + 1, `line ${count + 1} is longer than any that an export has`)
  }
  if (rest !== '') yield rest
}

const PEM = /-----BEGIN PUBLIC KEY-----[^-]+-----END PUBLIC KEY-----/g

/** All of a file: a token may have several. */
async function readKeys(file: string): Promise<AuditKeys> {
  try {
    const keys = readFileSync(file, 'utf8').match(PEM) ?? []
    if (keys.length === 0) throw new Error('there is none')
    // what Node exports for a public key is a JWK of strings
    const jwks = keys.map((pem) => createPublicKey(pem).export({ format: 'jwk' }) as JsonWebKey & { kty: string })
    return await auditKeysOf(jwks.map(({ kty, n = '', e = '' }) => ({ kty, n, e })))
  } catch (error) {
    const why = error instanceof Error && 'code' in error ? String(error.code) : 'not readable'
    throw new ConfigError('--public-key', `${file} (${why})`, 'a file with an RSA public key in PEM')
  }
}

async function withAudit<T>(
  flags: ReadonlyMap<string, string>,
  use: (store: AuditStore, client: Client, kept: KeptHeads) => Promise<T>,
): Promise<T> {
  const config = loadConfig(process.env, flags)
  if (config.data === undefined) throw new ConfigError('--data', 'nothing', 'the data folder that ssm init made')
  const folder = dataFolder(config.data)
  const client = await openClientFor(config)
  try {
    const store = await openStore(config.database ?? folder.store, 'refuse')
    try {
      return await use(new AuditStore(store), client, new KeptHeads(client, folder.auditHeads))
    } finally {
      await store.destroy()
    }
  } finally {
    await client.close()
  }
}
