import { decodeHex, decodeOptionalHex } from '../hex.js'
import { decryptAesGcm, encryptAesGcm } from '../operations/aes-gcm.js'
import {
  type DecryptAesGcmAnswer,
  type DecryptAesGcmRequest,
  decryptAesGcmAnswer,
  decryptAesGcmRequest,
  type EncryptAesGcmAnswer,
  type EncryptAesGcmRequest,
  encryptAesGcmAnswer,
  encryptAesGcmRequest,
} from '../schemas/aes-gcm.js'
import { underBothNames } from './paths.js'
import type { App, RouteContext } from './routes.js'

/** `POST /crypto/encrypt-aes-gcm` and `POST /crypto/decrypt-aes-gcm`, also under their old names. */
export function aesGcmRoutes(app: App, context: RouteContext): void {
  for (const path of underBothNames('encrypt-aes-gcm')) {
    app.post(
      path,
      {
        schema: {
          tags: ['data'],
          summary: 'Encrypts and authenticates with some key under a label',
          body: encryptAesGcmRequest,
          response: { 200: encryptAesGcmAnswer },
        },
        config: { action: 'ENCRYPT_AES_GCM', failure: 'ENCRYPTION_ERROR' },
      },
      ({ body }) => answerEncrypt(context, body),
    )
  }
  for (const path of underBothNames('decrypt-aes-gcm')) {
    app.post(
      path,
      {
        schema: {
          tags: ['data'],
          summary: 'Decrypts what is authentic, and nothing else',
          body: decryptAesGcmRequest,
          response: { 200: decryptAesGcmAnswer },
        },
        config: { action: 'DECRYPT_AES_GCM', failure: 'AUTHENTICATION_FAILED' },
      },
      ({ body }) => answerDecrypt(context, body),
    )
  }
}

async function answerEncrypt({ hsm, keys }: RouteContext, body: EncryptAesGcmRequest): Promise<EncryptAesGcmAnswer> {
  const { ciphertext, iv, tag, id } = await encryptAesGcm(hsm, keys, {
    keyLabel: body.key_label,
    plain: decodeHex('plain', body.plain),
    aad: decodeOptionalHex('aad', body.aad),
  })
  const now = new Date().toISOString()
  return {
    cipher: ciphertext.toString('hex'),
    iv: iv.toString('hex'),
    tag: tag.toString('hex'),
    id,
    ok: true,
    time_created: now,
    time_updated: now,
  }
}

async function answerDecrypt({ hsm, keys }: RouteContext, body: DecryptAesGcmRequest): Promise<DecryptAesGcmAnswer> {
  const { plain, id } = await decryptAesGcm(hsm, keys, {
    keyLabel: body.key_label,
    id: body.id ?? 0,
    cipher: decodeHex('cipher', body.cipher),
    iv: decodeHex('iv', body.iv),
    tag: decodeHex('tag', body.tag),
    aad: decodeOptionalHex('aad', body.aad),
  })
  const now = new Date().toISOString()
  return { plain: plain.toString('hex'), id, ok: true, time_created: now, time_updated: now }
}
