import { decryptionAlgorithm } from '../crypto/algorithms.js'
import { decodeHex, decodeOptionalHex } from '../hex.js'
import { decrypt } from '../operations/decrypt.js'
import { Problem } from '../problems/problem.js'
import { type DecryptAnswer, type DecryptRequest, decryptAnswer, decryptRequest } from '../schemas/decrypt.js'
import { underBothNames } from './paths.js'
import type { App, RouteContext } from './routes.js'

/** `POST /crypto/decrypt`, also under its old name. */
export function decryptRoutes(app: App, context: RouteContext): void {
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
      ({ body }) => answerDecrypt(context, body),
    )
  }
}

async function answerDecrypt(
  { hsm, keys, legacyAlgorithms }: RouteContext,
  body: DecryptRequest,
): Promise<DecryptAnswer> {
  const algorithm = decryptionAlgorithm(body.encryption_algorithm, body.key_label)
  const iv = decodeOptionalHex('iv', body.iv)
  const padding = readPadding(body.padding, iv !== undefined, legacyAlgorithms)
  const cipher = decodeHex('cipher', body.cipher)
  const plain = await decrypt(hsm, keys, { keyLabel: body.key_label, id: body.id, algorithm, padding, cipher, iv })
  return { plain: plain.toString('hex') }
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
