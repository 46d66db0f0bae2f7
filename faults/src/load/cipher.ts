import { createCipheriv, createDecipheriv } from 'node:crypto'

// node:crypto's own AES: shares no code with the token's.

export function aesCbc(key: Uint8Array, iv: Uint8Array, plain: Uint8Array): Buffer {
  const cipher = createCipheriv('aes-256-cbc', key, iv)
  return Buffer.concat([cipher.update(plain), cipher.final()])
}

export function aesEcb(key: Uint8Array, plain: Uint8Array): Buffer {
  const cipher = createCipheriv('aes-256-ecb', key, null).setAutoPadding(false)
  return Buffer.concat([cipher.update(plain), cipher.final()])
}

export function openGcm(key: Uint8Array, sealed: { iv: Uint8Array; ciphertext: Uint8Array; tag: Uint8Array }): Buffer {
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.iv, { authTagLength: 16 }).setAuthTag(sealed.tag)
  return Buffer.concat([decipher.update(sealed.ciphertext), decipher.final()])
}

/** RFC 3394. */
export function unwrapAes(key: Uint8Array, wrapped: Uint8Array): Buffer {
  const decipher = createDecipheriv('id-aes256-wrap', key, Buffer.alloc(8, 0xa6))
  return Buffer.concat([decipher.update(wrapped), decipher.final()])
}
