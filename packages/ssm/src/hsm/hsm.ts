import type { KeyFamily } from '../crypto/algorithms.js'
import type { KeyDetails, StoredKey } from './stored-key.js'

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

/** Chooses one of the keys under a label. @throws Problem where none will do */
export type KeyChoice = <K extends StoredKey>(keys: readonly K[]) => K

/** What a cipher operation that looked its key up itself answers. */
export interface Enciphered {
  key: StoredKey
  ciphertext: Buffer
}

/** What AES-GCM makes of a plaintext. */
export interface Sealed {
  /** 12 bytes, the one that the token really used */
  iv: Buffer
  ciphertext: Buffer
  /** 16 bytes */
  tag: Buffer
}

/** One operation with a key. */
export type CipherStep =
  | { op: 'encrypt' | 'decrypt'; mechanism: CipherMechanism; data: Uint8Array }
  | { op: 'seal'; data: Uint8Array; aad: Uint8Array | undefined }
  | { op: 'open'; sealed: Sealed; aad: Uint8Array | undefined }

/** One operation with the key that was chosen for it. */
export interface KeyedStep {
  key: StoredKey
  step: CipherStep
}

/** A key to be made on the token. */
export interface KeyToMake {
  label: string
  ckaId: Buffer
  family: KeyFamily
  bits: number
}

/** A key to be put on the token with a value that somebody else has too: it may decrypt, and nothing else. */
export interface KeyToImport {
  label: string
  ckaId: Buffer
  family: KeyFamily
  value: Uint8Array
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
  /** asks the token for the secret keys under a label whose ids clients can name, those that wait to replace another included */
  findKeys(label: string): Promise<KeyDetails[]>
  /** the same for every label there is */
  findAllKeys(): Promise<KeyDetails[]>
  /** encrypts on a pooled session; the key's handle comes from the library's cache */
  encrypt(key: StoredKey, mechanism: CipherMechanism, plain: Uint8Array): Promise<Buffer>
  /** decrypts on a pooled session; the key's handle comes from the library's cache */
  decrypt(key: StoredKey, mechanism: CipherMechanism, cipher: Uint8Array): Promise<Buffer>
  /** AES-GCM with a fresh IV */
  seal(key: StoredKey, plain: Uint8Array, aad: Uint8Array | undefined): Promise<Sealed>
  /** what {@link Hsm.seal} was given */
  open(key: StoredKey, sealed: Sealed, aad: Uint8Array | undefined): Promise<Buffer>
  /** many of these at once, each settled on its own: shares of them on several sessions, one hop each */
  batch(steps: readonly KeyedStep[]): Promise<PromiseSettledResult<Buffer | Sealed>[]>
  /** finds and encrypts on a pooled session, no cache consulted */
  findAndEncrypt(label: string, choose: KeyChoice, mechanism: CipherMechanism, plain: Uint8Array): Promise<Enciphered>
  /** the old way: opens a session outside the pool, logs in, finds, encrypts, and closes it */
  openFindAndEncrypt(
    label: string,
    choose: KeyChoice,
    mechanism: CipherMechanism,
    plain: Uint8Array,
  ): Promise<Enciphered>
  /** makes a key that never leaves the token, and gives its handle */
  generateKey(key: KeyToMake): Promise<number | bigint>
  /** puts a key on the token, and gives its handle */
  importKey(key: KeyToImport): Promise<number | bigint>
  /** forgets where the keys under a label are, or all of them: another process has changed them */
  forgetKeys(label?: string): void
  destroyKey(key: StoredKey): Promise<void>
  changeKeyId(key: StoredKey, ckaId: Buffer): Promise<void>
  /** resolves when the token has answered just now */
  probe(): Promise<void>
  stats(): HsmStats
}
