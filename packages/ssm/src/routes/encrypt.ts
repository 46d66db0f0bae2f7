import { encryptionAlgorithm } from '../crypto/algorithms.js'
import { decodeHex } from '../hex.js'
import { type Encrypt, encryptFinding, encryptOldWay, encryptPooled } from '../operations/encrypt.js'
import { type EncryptAnswer, type EncryptRequest, encryptAnswer, encryptRequest } from '../schemas/encrypt.js'
import type { App, RouteContext } from './routes.js'

const PATHS = ['/crypto/encrypt', '/encrypt-pool']
const OLD_WAY_PATH = '/encrypt'

/** `POST /crypto/encrypt`, its old name `/encrypt-pool`, and `/encrypt`, which does the same the old way. */
export function encryptRoutes(app: App, context: RouteContext): void {
  const { hsm, keys } = context
  const pooled = context.keyCache ? encryptPooled(hsm, keys) : encryptFinding(hsm, keys)
  for (const path of PATHS) add(app, path, context, pooled)
  add(app, OLD_WAY_PATH, context, encryptOldWay(hsm, keys))
}

function add(app: App, path: string, { legacyAlgorithms }: RouteContext, encrypt: Encrypt): void {
  app.post(
    path,
    {
      schema: {
        tags: ['data'],
        summary: 'Encrypts with some key under a label, in CBC with padding',
        body: encryptRequest,
        response: { 201: encryptAnswer },
      },
      config: { action: 'ENCRYPT_DATA', failure: 'ENCRYPTION_ERROR' },
    },
    async (request, reply) => {
      const answer = await answerTo(request.body, legacyAlgorithms, encrypt)
      return reply.code(201).send(answer)
    },
  )
}

async function answerTo(body: EncryptRequest, legacyAlgorithms: boolean, encrypt: Encrypt): Promise<EncryptAnswer> {
  const algorithm = encryptionAlgorithm(body.encryption_algorithm, body.key_label, legacyAlgorithms)
  const plain = decodeHex('plain', body.plain)
  const { cipher, iv, id } = await encrypt(body.key_label, algorithm, plain)
  const now = new Date().toISOString()
  return { cipher: cipher.toString('hex'), iv: iv.toString('hex'), id, ok: true, time_created: now, time_updated: now }
}
