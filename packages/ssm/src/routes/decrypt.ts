import { decrypt } from '../operations/decrypt.js'
import { decryptAnswer, decryptRequest } from '../schemas/decrypt.js'
import { decryptAnswerOf } from './answers.js'
import { underBothNames } from './paths.js'
import { readDecryption } from './requests.js'
import type { App, RouteContext } from './routes.js'

/** `POST /crypto/decrypt`, also under its old name. */
export function decryptRoutes(app: App, { hsm, keys, legacyAlgorithms }: RouteContext): void {
  for (const path of underBothNames('decrypt')) {
    app.post(
      path,
      {
        schema: {
          tags: ['data'],
          summary: 'Decrypts: CBC with an iv, ECB without',
          body: decryptRequest,
          response: { 200: decryptAnswer },
        },
        config: { action: 'DECRYPT_DATA', failure: 'DECRYPTION_ERROR' },
      },
      async (request) => {
        const { key, value } = await decrypt(hsm, keys, readDecryption(request.body, legacyAlgorithms))
        // the answer does not say which it was, where id 0 meant the only one
        request.answeredKeyId = key.id
        return decryptAnswerOf(value)
      },
    )
  }
}
