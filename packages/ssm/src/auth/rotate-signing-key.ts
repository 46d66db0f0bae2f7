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

/** How a rotation goes. */
export interface RotationOptions {
  /** removes all older keys at once, and ends every token so */
  revoke: boolean
  now?: Date
}

/**
 * Makes a new key to sign tokens with. Older ones stay until no token of theirs can be good any more, and are removed by the first
 * rotation after that.
 */
export async function rotateSigningKey(
  client: Client,
  store: Store,
  { revoke, now = new Date() }: RotationOptions,
): Promise<Rotation> {
  const before = (await readPublicKeys(client, JWT_KEY_LABEL)).toSorted((a, b) => a.id - b.id)
  const made = (before.at(-1)?.id ?? 0) + 1
  await createSigningKey(client, JWT_KEY_LABEL, made)
  await store.insertInto('signing_keys').values({ key_id: made, created_at: now.toISOString() }).execute()

  const rows = await store.selectFrom('signing_keys').selectAll().execute()
  const madeAt = new Map(rows.map(({ key_id, created_at }) => [key_id, Date.parse(created_at)]))
  const rotation: Rotation = { made, kept: [], removed: [] }
  for (const [index, key] of before.entries()) {
    const successor = before[index + 1]?.id ?? made
    // one whose successor nobody wrote down may have signed a moment ago
    const replacedAt = madeAt.get(successor) ?? now.getTime()
    const isOver = now.getTime() - replacedAt > (TOKEN_LIFETIME_SECONDS + MARGIN_SECONDS) * 1000
    if (revoke || isOver) await remove(client, store, key)
    rotation[revoke || isOver ? 'removed' : 'kept'].push(key.id)
  }
  return rotation
}

async function remove(client: Client, store: Store, { id, ckaId }: TokenPublicKey): Promise<void> {
  // the private half first: what is left when this is interrupted neither signs nor verifies
  await client.keys.destroy({ label: JWT_KEY_LABEL, id: ckaId, class: 'CKO_PRIVATE_KEY' })
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
