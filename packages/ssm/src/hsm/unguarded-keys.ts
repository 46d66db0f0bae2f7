import type { Client } from 'pkcs11-pool'

export const SECRET_KEY = 'CKO_SECRET_KEY'

/** A key that is no private object can be put on a token by whoever reaches it without its PIN, and who did that knows its value. */
export const GUARDED = { CKA_CLASS: SECRET_KEY, CKA_TOKEN: true, CKA_PRIVATE: true } as const

/** Says how many keys on the token are not used because they are no private objects: an operator may miss them. */
export async function tellUnguardedKeys(client: Client, log: (line: string) => void): Promise<void> {
  const { length } = await client.withSession((session) => session.findObjects({ ...GUARDED, CKA_PRIVATE: false }))
  if (length === 0) return
  log(
    `ssm: the token has ${length} secret keys that are no private objects (CKA_PRIVATE): whoever reaches it can put such keys there without ` +
      'its PIN, so none of them is used; where one is yours, replace it by one that is private',
  )
}
