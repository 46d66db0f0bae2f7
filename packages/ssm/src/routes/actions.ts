/**
 * What a request does, by the names that roles are granted. `OPEN` is for whoever reaches the service, and `BATCH` stands for several
 * of the others: each operation in it needs its own.
 */
export type Action =
  | 'HEALTH_CHECK'
  | 'ENCRYPT_DATA'
  | 'DECRYPT_DATA'
  | 'ENCRYPT_AES_GCM'
  | 'DECRYPT_AES_GCM'
  | 'GENERATE_AES_KEY'
  | 'GENERATE_DES_KEY'
  | 'GENERATE_DES3_KEY'
  | 'STORE_KEY'
  | 'UPDATE_KEY'
  | 'DELETE_KEY'
  | 'GET_KEY'
  | 'GET_KEYS'
  | 'GET_ALL_KEYS'
  | 'BATCH'
  | 'OPEN'
