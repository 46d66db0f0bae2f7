import type { Client, Session } from 'pkcs11-pool'
import { encodeKeyId, decodeKeyId } from './key-id.js'
import type { CipherMechanism, Enciphered, Hsm, HsmStats, KeyChoice, StoredKey } from './hsm.js'

const SECRET_KEY = 'CKO_SECRET_KEY'

/** The service's view of a token, over a client of the library. */
export class ClientHsm implements Hsm {
  readonly #client: Client

  constructor(client: Client) {
    this.#client = client
  }

  async findKeys(label: string): Promise<StoredKey[]> {
    const found = await this.#client.keys.find({ label, class: SECRET_KEY })
    return found.flatMap(({ id }) => storedKey(label, id))
  }

  encrypt(key: StoredKey, mechanism: CipherMechanism, plain: Uint8Array): Promise<Buffer> {
    return this.#client.encrypt(referenceOf(key), mechanism, plain)
  }

  decrypt(key: StoredKey, mechanism: CipherMechanism, cipher: Uint8Array): Promise<Buffer> {
    return this.#client.decrypt(referenceOf(key), mechanism, cipher)
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

  async generateAesKey(label: string, id: number, bits: 128 | 256): Promise<number | bigint> {
    const key = await this.#client.keys.generate('CKM_AES_KEY_GEN', {
      CKA_CLASS: SECRET_KEY,
      CKA_KEY_TYPE: 'CKK_AES',
      CKA_VALUE_LEN: bits / 8,
      CKA_LABEL: label,
      CKA_ID: encodeKeyId(id),
      CKA_TOKEN: true,
      CKA_PRIVATE: true,
      CKA_SENSITIVE: true,
      CKA_EXTRACTABLE: false,
      CKA_ENCRYPT: true,
      CKA_DECRYPT: true,
    })
    return key.handle
  }

  async probe(): Promise<void> {
    await this.#client.withSession((session) => session.getSessionInfo())
  }

  stats(): HsmStats {
    return this.#client.stats()
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
  const handles = await session.findObjects({ CKA_CLASS: SECRET_KEY, CKA_LABEL: label, CKA_TOKEN: true })
  const found = []
  for (const handle of handles) {
    const { CKA_ID } = await session.getAttributes(handle, ['CKA_ID'])
    found.push(...storedKey(label, CKA_ID ?? Buffer.alloc(0)).map((key) => ({ key, handle })))
  }
  const key = choose(found.map((each) => each.key))
  const chosen = found.find((each) => each.key === key)
  if (chosen === undefined) throw new Error('the choice among the keys of a label was none of them')
  return { key, ciphertext: await session.encrypt(chosen.handle, mechanism, plain) }
}

/** None where clients cannot name the key. */
function storedKey(label: string, ckaId: Buffer): StoredKey[] {
  const id = decodeKeyId(ckaId)
  return id === undefined ? [] : [{ label, id, ckaId }]
}

function referenceOf({ label, ckaId }: StoredKey) {
  return { label, id: ckaId, class: SECRET_KEY } as const
}
