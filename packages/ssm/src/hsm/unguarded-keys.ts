import type { Client, Key } from 'pkcs11-pool'
import { EXTERNAL_LABELS, isExternalLabel } from '../crypto/external-keys.js'
import { type KeyDetails, storedKey } from './stored-key.js'

export const SECRET_KEY = 'CKO_SECRET_KEY'

/**
 * A key that is no private object can be put on a token by whoever reaches it without its PIN, and who did that knows its value. Keys of a SIM's
 * maker are used all the same: they only decrypt, and not every tool that has put them on a token made them private.
 */
export const GUARDED = { CKA_CLASS: SECRET_KEY, CKA_TOKEN: true, CKA_PRIVATE: true } as const

/** Those that only somebody with the PIN can have put there, and of a SIM's maker also others: not in the place of one that counts, though. */
export function usableKeys(found: readonly Key[]): KeyDetails[] {
  const keys = found.flatMap(storedKey)
  const nameOf = ({ label, id, replacement }: KeyDetails) => `${id} ${replacement} ${label}`
  const guarded = new Set(keys.filter((key) => key.private).map(nameOf))
  return keys.filter((key) => key.private || (isExternalLabel(key.label) && !guarded.has(nameOf(key))))
}

/** Says how many keys on the token are not used because they are no private objects: an operator may miss them. */
export async function tellUnguardedKeys(client: Client, log: (line: string) => void): Promise<void> {
  const unguarded = { ...GUARDED, CKA_PRIVATE: false }
  const unused = await client.withSession(async (session) => {
    const left = new Set(await session.findObjects(unguarded))
    for (const label of EXTERNAL_LABELS) {
      // a search is as long as the token is full, and few tokens have any such key
      if (left.size === 0) break
      for (const handle of await session.findObjects({ ...unguarded, CKA_LABEL: label })) left.delete(handle)
    }
    return left.size
  })
  if (unused === 0) return
  log(
    `ssm: the token has ${unused} secret keys that are no private objects (CKA_PRIVATE): whoever reaches it can put such keys there without ` +
      'its PIN, so none of them is used; where one is yours, replace it by one that is private',
  )
}
