import { createPublicKey, type KeyObject, verify } from 'node:crypto'
import { calculateJwkThumbprint, type JWK } from 'jose'
import type { Client } from 'pkcs11-pool'
import { readPublicKeys } from '../auth/signing-keys.js'

export const AUDIT_KEY_LABEL = 'AUDIT_SIGNING_KEY'

/** A text that the HSM signed. */
export interface Signed {
  /** JSON; its member `key` names the key that signed it (RFC 7638) */
  statement: string
  /** RSASSA-PKCS1-v1_5 with SHA-256 over the statement, base64 */
  signature: string
}

/** Signs statements about the audit with AUDIT_SIGNING_KEY on the HSM. */
export class AuditSigner {
  readonly #client: Client
  #key: { ckaId: Buffer; kid: string } | undefined

  constructor(client: Client) {
    this.#client = client
  }

  /** Signs the members with the key's name beside them. Rejects where the token does not sign. */
  async sign(members: object): Promise<Signed> {
    const { ckaId, kid } = (this.#key ??= await this.#newestKey())
    const statement = JSON.stringify({ ...members, key: kid })
    const signature = await this.#client.sign(
      { label: AUDIT_KEY_LABEL, id: ckaId, class: 'CKO_PRIVATE_KEY', private: true },
      'CKM_SHA256_RSA_PKCS',
      Buffer.from(statement),
    )
    return { statement, signature: signature.toString('base64') }
  }

  async #newestKey(): Promise<{ ckaId: Buffer; kid: string }> {
    const [newest] = (await readPublicKeys(this.#client, AUDIT_KEY_LABEL)).toSorted((a, b) => b.id - a.id)
    if (newest === undefined) throw new Error(`the token has no RSA key pair ${AUDIT_KEY_LABEL}: ssm init makes it`)
    return { ckaId: newest.ckaId, kid: await calculateJwkThumbprint(newest.jwk) }
  }
}

/** A head as it is kept beside the store, with its chain where that is told. What is no head fails its signature. */
export function readHead(text: string): Signed & { chain?: string } {
  try {
    const { chain, statement, signature } = JSON.parse(text) as Record<string, unknown>
    const head = { statement: String(statement), signature: String(signature) }
    return typeof chain === 'string' ? { chain, ...head } : head
  } catch {
    return { statement: '', signature: '' }
  }
}

/** The public keys that statements may be signed with, by name. */
export type AuditKeys = ReadonlyMap<string, KeyObject>

/** Those on the token. */
export async function readAuditKeys(client: Client): Promise<AuditKeys> {
  return auditKeysOf((await readPublicKeys(client, AUDIT_KEY_LABEL)).map(({ jwk }) => jwk))
}

export async function auditKeysOf(jwks: readonly JWK[]): Promise<AuditKeys> {
  const entries = jwks.map(
    async (jwk) => [await calculateJwkThumbprint(jwk), createPublicKey({ key: { ...jwk }, format: 'jwk' })] as const,
  )
  return new Map(await Promise.all(entries))
}

/** The statement's members where one of the keys signed it; undefined for whatever is wrong with it. */
export function openStatement({ statement, signature }: Signed, keys: AuditKeys): Record<string, unknown> | undefined {
  // both come from files, where anything may be
  if (typeof statement !== 'string' || typeof signature !== 'string') return undefined
  let members: unknown
  try {
    members = JSON.parse(statement)
  } catch {
    return undefined
  }
  if (typeof members !== 'object' || members === null) return undefined
  const { key } = members as { key?: unknown }
  const publicKey = typeof key === 'string' ? keys.get(key) : undefined
  const bytes = Buffer.from(signature, 'base64')
  // a text that decodes to the same bytes is another text
  if (publicKey === undefined || bytes.toString('base64') !== signature) return undefined
  if (!verify('RSA-SHA256', Buffer.from(statement), publicKey, bytes)) return undefined
  return members as Record<string, unknown>
}
