import { packMechanism } from '../pkcs11/mechanisms.js'
import { Operation, type PackedMechanism } from '../pkcs11/protocol.js'
import type { ObjectHandle } from '../session/arguments.js'
import type { CallContext } from '../session/call-context.js'

/** A secret key whose token tells no CKA_CHECK_VALUE. */
export interface SecretKey {
  readonly handle: ObjectHandle
  readonly keyType: string | number | undefined
}

/** What encrypts one block and nothing else, and the size of a block. */
const BLOCK_CIPHERS: Readonly<Record<string, { mechanism: PackedMechanism; blockBytes: number }>> = {
  CKK_AES: { mechanism: packMechanism('CKM_AES_ECB'), blockBytes: 16 },
  CKK_DES: { mechanism: packMechanism('CKM_DES_ECB'), blockBytes: 8 },
  CKK_DES2: { mechanism: packMechanism('CKM_DES3_ECB'), blockBytes: 8 },
  CKK_DES3: { mechanism: packMechanism('CKM_DES3_ECB'), blockBytes: 8 },
}

/** PKCS#11 2.40, "Secret key objects": the first three bytes of a block of zeros, encrypted in ECB mode. */
const CHECK_VALUE_BYTES = 3

/** How many keys are used in one hop. */
const AT_ONCE = 500

/** What CKA_CHECK_VALUE would be, in hexadecimal, of those keys that their token lets encrypt a block. */
export async function checkValues(
  context: CallContext,
  keys: readonly SecretKey[],
): Promise<ReadonlyMap<ObjectHandle, string>> {
  const values = new Map<ObjectHandle, string>()
  const items = keys.flatMap(({ handle, keyType }) => {
    const cipher = BLOCK_CIPHERS[keyType ?? '']
    if (cipher === undefined) return []
    const { mechanism, blockBytes } = cipher
    return [[Operation.ENCRYPT, mechanism, handle, Buffer.alloc(blockBytes), undefined] as const]
  })
  for (let at = 0; at < items.length; at += AT_ONCE) {
    const sent = items.slice(at, at + AT_ONCE)
    const { engine, session } = context
    const answers = (await engine.run(Operation.BATCH, session, context, sent)) as [number, number, unknown][]
    for (const [place, [, , handle]] of sent.entries()) {
      const [rv, , value] = answers[place] ?? []
      // One that must not be used so is compared by what else is known of it.
      if (rv === 0) values.set(handle, (value as Buffer).subarray(0, CHECK_VALUE_BYTES).toString('hex'))
    }
  }
  return values
}
