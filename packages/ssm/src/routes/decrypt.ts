import { decryptionAlgorithm } from '../crypto/algorithms.js'
import { decodeHex } from '../hex.js'
import { decrypt } from '../operations/decrypt.js'
import { Problem } from '../problems/problem.js'
import { decryptAnswer, decryptRequest } from '../schemas/decrypt.js'
import type { App, RouteContext } from './routes.js'

const PATHS = ['/crypto/decrypt', '/decrypt']

/** `POST /crypto/decrypt`, also under its old name. */
export function decryptRoutes(app: App, { hsm, directory, legacyAlgorithms }: RouteContext): void {
  for (const path of PATHS) {
    app.post(
      path,
      {
        schema: { body: decryptRequest, response: { 200: decryptAnswer } },
        config: { failure: 'DECRYPTION_ERROR' },
      },
      async ({ body }) => {
        const plain = await decrypt(hsm, directory, {
          keyLabel: body.key_label,
          id: body.id,
          algorithm: decryptionAlgorithm(body.encryption_algorithm, body.key_label),
          padding: readPadding(body.padding, legacyAlgorithms),
          cipher: decodeHex('cipher', body.cipher),
          // clients out there send "" where there is none
          iv: body.iv === undefined || body.iv === '' ? undefined : decodeHex('iv', body.iv),
        })
        return { plain: plain.toString('hex') }
      },
    )
  }
}

function readPadding(padding: string | undefined, legacyAlgorithms: boolean): 'pkcs7' | 'none' {
  if (padding === undefined || padding === 'pkcs7') return 'pkcs7'
  if (padding !== 'none')
    throw new Problem('VALIDATION_FAILED', 'padding: got another text, expected "pkcs7" or "none"')
  if (legacyAlgorithms) return 'none'
  throw new Problem(
    'UNSUPPORTED_ALGORITHM',
    'padding: got "none", expected "pkcs7": reading data without padding is off unless the operator allows legacy algorithms ' +
      '(SSM_LEGACY_ALGORITHMS=true)',
  )
}
