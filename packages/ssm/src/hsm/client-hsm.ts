import type { BatchItem, BatchResult, Client, Session, Template } from 'pkcs11-pool'
import type { KeyFamily } from '../crypto/algorithms.js'
import type {
  CipherMechanism,
  Enciphered,
  Hsm,
  HsmStats,
  KeyChoice,
  KeyedStep,
  KeyToImport,
  KeyToMake,
  Sealed,
} from './hsm.js'
import { type KeyDetails, type StoredKey, storedKey, visibleKeys } from './stored-key.js'
import { GUARDED, SECRET_KEY, usableKeys } from './unguarded-keys.js'

const GENERATION = { AES: 'CKM_AES_KEY_GEN', DES: 'CKM_DES_KEY_GEN', DES3: 'CKM_DES3_KEY_GEN' } as const
const KEY_TYPES = { AES: 'CKK_AES', DES: 'CKK_DES', DES3: 'CKK_DES3' } as const

/** The service's view of a token, over a client of the library. */
export class ClientHsm implements Hsm {
  readonly #client: Client

  constructor(client: Client) {
    this.#client = client
  }

  async findKeys(label: string): Promise<KeyDetails[]> {
    return usableKeys(await this.#client.keys.find({ label, class: SECRET_KEY }))
  }

  async findAllKeys(): Promise<KeyDetails[]> {
    return usableKeys(await this.#client.keys.find({ class: SECRET_KEY }))
  }

  encrypt(key: StoredKey, mechanism: CipherMechanism, plain: Uint8Array): Promise<Buffer> {
    return this.#client.encrypt(referenceOf(key), mechanism, plain)
  }

  decrypt(key: StoredKey, mechanism: CipherMechanism, cipher: Uint8Array): Promise<Buffer> {
    return this.#client.decrypt(referenceOf(key), mechanism, cipher)
  }

  seal(key: StoredKey, plain: Uint8Array, aad: Uint8Array | undefined): Promise<Sealed> {
    return this.#client.seal(referenceOf(key), plain, { aad })
  }

  open(key: StoredKey, sealed: Sealed, aad: Uint8Array | undefined): Promise<Buffer> {
    return this.#client.open(referenceOf(key), sealed, { aad })
  }

  async batch(steps: readonly KeyedStep[]): Promise<PromiseSettledResult<Buffer | Sealed>[]> {
    const items = steps.map(({ key, step }): BatchItem => ({ ...step, key: referenceOf(key) }))
    const shares = inShares(items, this.#client.stats().maxSize)
    const answers = await Promise.all(shares.map((share) => this.#runShare(share)))
    // encryption and decryption answer bytes: what is true or false is `verify`, of which there is none here
    return answers.flat() as PromiseSettledResult<Buffer | Sealed>[]
  }

  async #runShare(share: readonly BatchItem[]): Promise<BatchResult[]> {
    try {
      return await this.#client.batch(share)
    } catch (reason) {
      return share.map(() => ({ status: 'rejected', reason }))
    }
  }

  findAndEncrypt(label: string, choose: KeyChoice, mechanism: CipherMechanism, plain: Uint8Array): Promise<Enciphered> {
    return this.#client.withSession((session) => encryptOn(session, label, choose, mechanism, plain))
  }

  openFindAndEncrypt(
    label: string,
    choose: KeyChoice,
    mechanism: CipherMechanism,
    plain: Uint8Array,
  ): Promise<Enciphered> {
    return this.#client.withDedicatedSession((session) => encryptOn(session, label, choose, mechanism, plain))
  }

  async generateKey({ label, ckaId, family, bits }: KeyToMake): Promise<number | bigint> {
    const key = await this.#client.keys.generate(GENERATION[family], {
      ...templateOf(label, ckaId, family),
      // a DES key has one length, and tokens refuse to be told it
      ...(family === 'AES' && { CKA_VALUE_LEN: bits / 8 }),
      CKA_ENCRYPT: true,
    })
    return key.handle
  }

  async importKey({ label, ckaId, family, value }: KeyToImport): Promise<number | bigint> {
    const key = await this.#client.keys.import({
      ...templateOf(label, ckaId, family),
      CKA_ENCRYPT: false,
      CKA_WRAP: false,
      CKA_UNWRAP: false,
      CKA_VALUE: value,
    })
    return key.handle
  }

  forgetKeys(label?: string): void {
    this.#client.keys.forget(label === undefined ? undefined : { label })
  }

  destroyKey(key: StoredKey): Promise<void> {
    return this.#client.keys.destroy(referenceOf(key))
  }

  changeKeyId(key: StoredKey, ckaId: Buffer): Promise<void> {
    return this.#client.keys.update(referenceOf(key), { CKA_ID: ckaId })
  }

  async probe(): Promise<void> {
    await this.#client.withSession((session) => session.getSessionInfo())
  }

  stats(): HsmStats {
    return this.#client.stats()
  }
}

/** Below this many, another session would be taken from others for little. */
const SHARE = 50

/** In order, as many shares as are worth a session each; half of the sessions are left to others. */
function inShares<T>(items: readonly T[], sessions: number): T[][] {
  const count = Math.max(1, Math.min(Math.ceil(items.length / SHARE), Math.floor(sessions / 2)))
  const size = Math.ceil(items.length / count)
  return Array.from({ length: count }, (_, at) => items.slice(at * size, (at + 1) * size)).filter(
    (share) => share.length > 0,
  )
}

/** What every key that comes from here has. */
function templateOf(label: string, ckaId: Buffer, family: KeyFamily): Template {
  return {
    CKA_CLASS: SECRET_KEY,
    CKA_KEY_TYPE: KEY_TYPES[family],
    CKA_LABEL: label,
    CKA_ID: ckaId,
    CKA_TOKEN: true,
    CKA_PRIVATE: true,
    CKA_SENSITIVE: true,
    CKA_EXTRACTABLE: false,
    CKA_DECRYPT: true,
  }
}

/** Finds and encrypts on one session, step by step, as a program without a key cache has to. */
async function encryptOn(
  session: Session,
  label: string,
  choose: KeyChoice,
  mechanism: CipherMechanism,
  plain: Uint8Array,
): Promise<Enciphered> {
  const handles = await session.findObjects({ ...GUARDED, CKA_LABEL: label })
  const found: KeyDetails[] = []
  for (const handle of handles) {
    const { CKA_ID } = await session.getAttributes(handle, ['CKA_ID'])
    const id = CKA_ID ?? Buffer.alloc(0)
    found.push(...storedKey({ handle, label, id, private: true, keyType: undefined, sizeBits: undefined }))
  }
  const key = choose(visibleKeys(found))
  const chosen = found.find((each) => each === key)
  if (chosen === undefined) throw new Error('the choice among the keys of a label was none of them')
  return { key, ciphertext: await session.encrypt(chosen.handle, mechanism, plain) }
}

function referenceOf({ label, ckaId, private: isPrivate }: StoredKey) {
  return { label, id: ckaId, class: SECRET_KEY, private: isPrivate } as const
}
