import { decryptAesGcm, encryptAesGcm } from '../operations/aes-gcm.js'
import {
  decryptAesGcmAnswer,
  decryptAesGcmRequest,
  encryptAesGcmAnswer,
  encryptAesGcmRequest,
} from '../schemas/aes-gcm.js'
import { decryptAesGcmAnswerOf, encryptAesGcmAnswerOf } from './answers.js'
import { underBothNames } from './paths.js'
import { readGcmDecryption, readGcmEncryption } from './requests.js'
import type { App, RouteContext } from './routes.js'

/** `POST /crypto/encrypt-aes-gcm` and `POST /crypto/decrypt-aes-gcm`, also under their old names. */
export function aesGcmRoutes(app: App, { hsm, keys }: RouteContext): void {
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
      async ({ body }) => encryptAesGcmAnswerOf(await encryptAesGcm(hsm, keys, readGcmEncryption(body))),
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
      async ({ body }) => {
        const { plain, id } = await decryptAesGcm(hsm, keys, readGcmDecryption(body))
        return decryptAesGcmAnswerOf(plain, id)
      },
    )
  }
}
