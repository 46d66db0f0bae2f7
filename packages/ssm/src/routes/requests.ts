import { decryptionAlgorithm, encryptionAlgorithm } from '../crypto/algorithms.js'
import { decodeHex, decodeOptionalHex } from '../hex.js'
import type { GcmDecryption, GcmEncryption } from '../operations/aes-gcm.js'
import type { Decryption } from '../operations/decrypt.js'
import { Problem } from '../problems/problem.js'
import type { DecryptAesGcmRequest, EncryptAesGcmRequest } from '../schemas/aes-gcm.js'
import type { DecryptRequest } from '../schemas/decrypt.js'
import type { EncryptRequest } from '../schemas/encrypt.js'

/** Reads a request to encrypt. @throws Problem UNSUPPORTED_ALGORITHM, INVALID_KEY_TYPE, INVALID_HEX, VALIDATION_FAILED */
export function readEncryption(body: EncryptRequest, legacyAlgorithms: boolean) {
  const algorithm = encryptionAlgorithm(body.encryption_algorithm, body.key_label, legacyAlgorithms)
  return { keyLabel: body.key_label, algorithm, plain: decodeHex('plain', body.plain) }
}

/** Reads a request to decrypt. @throws Problem as {@link readEncryption} */
export function readDecryption(body: DecryptRequest, legacyAlgorithms: boolean): Decryption {
  const algorithm = decryptionAlgorithm(body.encryption_algorithm, body.key_label)
  const iv = decodeOptionalHex('iv', body.iv)
  const padding = readPadding(body.padding, iv !== undefined, legacyAlgorithms)
  return { keyLabel: body.key_label, id: body.id, algorithm, padding, cipher: decodeHex('cipher', body.cipher), iv }
}

/** @throws Problem INVALID_HEX */
export function readGcmEncryption(body: EncryptAesGcmRequest): GcmEncryption {
  return { keyLabel: body.key_label, plain: decodeHex('plain', body.plain), aad: decodeOptionalHex('aad', body.aad) }
}

/** @throws Problem INVALID_HEX */
export function readGcmDecryption(body: DecryptAesGcmRequest): GcmDecryption {
  return {
    keyLabel: body.key_label,
    id: body.id ?? 0,
    cipher: decodeHex('cipher', body.cipher),
    iv: decodeHex('iv', body.iv),
    tag: decodeHex('tag', body.tag),
    aad: decodeOptionalHex('aad', body.aad),
  }
}

function readPadding(padding: string | undefined, hasIv: boolean, legacyAlgorithms: boolean): 'pkcs7' | 'none' {
  if (padding === undefined) return 'pkcs7'
  if (padding !== 'none' && padding !== 'pkcs7')
    throw new Problem('VALIDATION_FAILED', 'padding: got another text, expected "pkcs7" or "none"')
  if (padding === 'pkcs7') {
    if (hasIv) return padding
    throw new Problem('VALIDATION_FAILED', 'padding: got "pkcs7" without an iv, but ECB gives blocks back as they are')
  }
  if (legacyAlgorithms) return 'none'
  throw new Problem(
    'UNSUPPORTED_ALGORITHM',
    'padding: got "none", expected "pkcs7": reading data without padding is off unless the operator allows legacy algorithms ' +
      '(SSM_LEGACY_ALGORITHMS=true)',
  )
}
