/** What a request may want, by the names of the contract. */
export const ACTIONS = [
  'USER_LOGIN',
  'HEALTH_CHECK',
  'ENCRYPT_DATA',
  'DECRYPT_DATA',
  'ENCRYPT_AES_GCM',
  'DECRYPT_AES_GCM',
  'GENERATE_AES_KEY',
  'GENERATE_DES_KEY',
  'GENERATE_DES3_KEY',
  'STORE_KEY',
  'UPDATE_KEY',
  'DELETE_KEY',
  'GET_KEY',
  'GET_KEYS',
  'GET_ALL_KEYS',
] as const

export type Action = (typeof ACTIONS)[number]

/**
 * What a route declares: its action; `OPEN`, that it is for whoever reaches the service; `OPERATOR`, that it is for whoever asks from this
 * machine, and from elsewhere for accounts of {@link OPERATOR_ROLE}; or `BATCH`, that it is for whoever has an account, and asks
 * `request.mayDo` about each of the operations in it.
 */
export type DeclaredAction = Action | 'OPEN' | 'OPERATOR' | 'BATCH'

/** Who a client is. */
export const ROLES = ['udm', 'webconsole'] as const

export type Role = (typeof ROLES)[number]

/** The role that may see the operator's figures from another machine. */
export const OPERATOR_ROLE: Role = 'webconsole'

const ALLOWED: Readonly<Record<Role, ReadonlySet<Action>>> = {
  udm: new Set<Action>(['DECRYPT_DATA', 'DECRYPT_AES_GCM', 'HEALTH_CHECK']),
  webconsole: new Set(ACTIONS),
}

/** Whether a role may do something: nothing that is not listed. */
export function mayDo(role: Role, action: Action): boolean {
  return ALLOWED[role].has(action)
}

export function isRole(text: string): text is Role {
  return (ROLES as readonly string[]).includes(text)
}
