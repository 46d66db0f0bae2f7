/** The mechanisms the routes use, by the standard's names. */
export type CipherMechanism =
  | {
      mechanism:
        | 'CKM_AES_CBC_PAD'
        | 'CKM_AES_CBC'
        | 'CKM_DES_CBC_PAD'
        | 'CKM_DES_CBC'
        | 'CKM_DES3_CBC_PAD'
        | 'CKM_DES3_CBC'
      iv: Uint8Array
    }
  | { mechanism: 'CKM_AES_ECB' | 'CKM_DES_ECB' | 'CKM_DES3_ECB' }

/** A secret key on the token, as the wire knows it. */
export interface StoredKey {
  label: string
  /** what clients call it; 0 where CKA_ID is empty or all zeros */
  id: number
  /** CKA_ID as it is on the token, which may be shorter than 4 bytes */
  ckaId: Buffer
}

/** Chooses one of the keys under a label. @throws Problem where none will do */
export type KeyChoice = (keys: readonly StoredKey[]) => StoredKey

/** What a cipher operation that looked its key up itself answers. */
export interface Enciphered {
  key: StoredKey
  ciphertext: Buffer
}

/** The pool at one moment; more counts than these may be there. */
export interface HsmStats {
  maxSize: number
  currentSize: number
  available: number
  inUse: number
}

/**
 * All that the service asks of the token. Routes and operations know nothing else of PKCS#11. Every call rejects with the
 * library's errors, which `problems/from-library.ts` turns into answers.
 */
export interface Hsm {
  /** asks the token for the secret keys under a label whose ids clients can name */
  findKeys(label: string): Promise<StoredKey[]>
  /** encrypts on a pooled session; the key's handle comes from the library's cache */
  encrypt(key: StoredKey, mechanism: CipherMechanism, plain: Uint8Array): Promise<Buffer>
  /** decrypts on a pooled session; the key's handle comes from the library's cache */
  decrypt(key: StoredKey, mechanism: CipherMechanism, cipher: Uint8Array): Promise<Buffer>
  /** finds and encrypts on a pooled session, no cache consulted */
  findAndEncrypt(label: string, choose: KeyChoice, mechanism: CipherMechanism, plain: Uint8Array): Promise<Enciphered>
  /** the old way: opens a session outside the pool, logs in, finds, encrypts, and closes it */
  openFindAndEncrypt(
    label: string,
    choose: KeyChoice,
    mechanism: CipherMechanism,
    plain: Uint8Array,
  ): Promise<Enciphered>
  /** makes an AES key that never leaves the token, and gives its handle */
  generateAesKey(label: string, id: number, bits: 128 | 256): Promise<number | bigint>
  /** resolves when the token has answered just now */
  probe(): Promise<void>
  stats(): HsmStats
}
