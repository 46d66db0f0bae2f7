import { Pkcs11PoolError } from 'pkcs11-pool'
import type { KeyChoice, StoredKey } from '../hsm/hsm.js'
import type { KeyDirectory } from '../hsm/key-directory.js'
import { Problem } from '../problems/problem.js'

/**
 * Uses a key chosen from the remembered list. Where the list may be out of date - it has no such key, or the key it names is
 * gone or no longer the only one - the token is asked once, and the use tried once more.
 */
export async function withKey<T>(
  directory: KeyDirectory,
  label: string,
  choose: KeyChoice,
  use: (key: StoredKey) => Promise<T>,
): Promise<{ key: StoredKey; value: T }> {
  const { keys, fresh } = await directory.list(label)
  try {
    const key = choose(keys)
    return { key, value: await use(key) }
  } catch (error) {
    if (fresh || !isAboutWhichKey(error)) throw error
  }
  const { keys: current } = await directory.refresh(label)
  const key = choose(current)
  return { key, value: await use(key) }
}

function isAboutWhichKey(error: unknown): boolean {
  if (!(error instanceof Problem || error instanceof Pkcs11PoolError)) return false
  return error.code === 'KEY_NOT_FOUND' || error.code === 'KEY_AMBIGUOUS'
}
