import type { Client } from 'pkcs11-pool'
import { createSigningKey } from '../init/token-keys.js'
import type { Store } from '../store/store.js'
import { JWT_KEY_LABEL, readPublicKeys, type TokenPublicKey } from './signing-keys.js'
import { TOKEN_LIFETIME_SECONDS } from './tokens.js'

/** A token may have been signed a minute after its key was replaced, by a replica that did not know yet; the clocks may differ. */
const MARGIN_SECONDS = 3_600

/** What a rotation did, by the keys' ids. */
export interface Rotation {
  made: number
  /** still verify tokens that they signed */
  kept: number[]
  removed: number[]
}

/** What was done to a key that signs tokens. */
export interface KeyChange {
  action: 'SIGNING_KEY_ADD' | 'SIGNING_KEY_REMOVE'
  keyLabel: string
  keyId: number
}

/** Writes a change down once it was made. */
export type RecordKeyChange = (change: KeyChange) => Promise<void>

/** How a rotation goes. */
export interface RotationOptions {
  /** removes all older keys at once, and ends every token so */
  revoke: boolean
  /** @defaultValue nothing is written down */
  record?: RecordKeyChange
  now?: Date
}

/** Another process is at it, or was when it ended. */
export class RotationUnderWay extends Error {
  constructor(beganAt: string, leftMs: number) {
    super(
      `another rotation of ${JWT_KEY_LABEL} began at ${beganAt} and is not over: wait until it is, or, where it was interrupted, try again in ` +
        `${Math.ceil(leftMs / 1000)} s`,
    )
    this.name = 'RotationUnderWay'
  }
}

/** Stands among the ids of keys for a rotation that is under way; no key has it. */
const CLAIM = -1
/** How long, in milliseconds, a rotation may take: one that was interrupted holds the next one up for that long. */
const ROTATION_MS = 300_000

/**
 * Makes a new key to sign tokens with. Older ones stay until no token of theirs can be good any more, and are removed by the first
 * rotation after that.
 *
 * @throws RotationUnderWay where another has not ended; nothing was changed then
 */
export async function rotateSigningKey(client: Client, store: Store, options: RotationOptions): Promise<Rotation> {
  const claim = new Date().toISOString()
  await claimRotation(store, claim)
  try {
    return await rotate(client, store, options)
  } finally {
    await store.deleteFrom('signing_keys').where('key_id', '=', CLAIM).where('created_at', '=', claim).execute()
  }
}

/** Sees to it that there is one rotation at a time, in all processes on the store. @throws RotationUnderWay */
async function claimRotation(store: Store, claim: string): Promise<void> {
  const staleBefore = new Date(Date.parse(claim) - ROTATION_MS).toISOString()
  const { numInsertedOrUpdatedRows } = await store
    .insertInto('signing_keys')
    .values({ key_id: CLAIM, created_at: claim })
    .onConflict((conflict) =>
      conflict.column('key_id').doUpdateSet({ created_at: claim }).where('signing_keys.created_at', '<=', staleBefore),
    )
    .executeTakeFirstOrThrow()
  if (numInsertedOrUpdatedRows === 1n) return
  const other = await store
    .selectFrom('signing_keys')
    .select('created_at')
    .where('key_id', '=', CLAIM)
    .executeTakeFirst()
  // it may have ended just now
  const beganAt = other?.created_at ?? claim
  throw new RotationUnderWay(beganAt, Date.parse(beganAt) + ROTATION_MS - Date.parse(claim))
}

async function rotate(client: Client, store: Store, options: RotationOptions): Promise<Rotation> {
  const { revoke, record = async () => {}, now = new Date() } = options
  const before = (await readPublicKeys(client, JWT_KEY_LABEL)).toSorted((a, b) => a.id - b.id)
  const made = await createSigningKey(client, JWT_KEY_LABEL)
  await record({ action: 'SIGNING_KEY_ADD', keyLabel: JWT_KEY_LABEL, keyId: made })
  await store.insertInto('signing_keys').values({ key_id: made, created_at: now.toISOString() }).execute()

  const rows = await store.selectFrom('signing_keys').selectAll().execute()
  const madeAt = new Map(rows.map(({ key_id, created_at }) => [key_id, Date.parse(created_at)]))
  const rotation: Rotation = { made, kept: [], removed: [] }
  for (const [index, key] of before.entries()) {
    const successor = before[index + 1]?.id ?? made
    // one whose successor nobody wrote down may have signed a moment ago
    const replacedAt = madeAt.get(successor) ?? now.getTime()
    const isOver = now.getTime() - replacedAt > (TOKEN_LIFETIME_SECONDS + MARGIN_SECONDS) * 1000
    if (revoke || isOver) {
      await remove(client, store, key)
      await record({ action: 'SIGNING_KEY_REMOVE', keyLabel: JWT_KEY_LABEL, keyId: key.id })
    }
    rotation[revoke || isOver ? 'removed' : 'kept'].push(key.id)
  }
  return rotation
}

async function remove(client: Client, store: Store, { id, ckaId }: TokenPublicKey): Promise<void> {
  // the private half first: what is left when this is interrupted neither signs nor verifies
  await client.keys.destroy({ label: JWT_KEY_LABEL, id: ckaId, class: 'CKO_PRIVATE_KEY', private: true })
  await client.withSession(async (session) => {
    const halves = await session.findObjects({
      CKA_CLASS: 'CKO_PUBLIC_KEY',
      CKA_LABEL: JWT_KEY_LABEL,
      CKA_ID: ckaId,
      CKA_TOKEN: true,
    })
    for (const half of halves) await session.destroyObject(half)
  })
  await store.deleteFrom('signing_keys').where('key_id', '=', id).execute()
}
