import { type Encrypt, encryptFinding, encryptOldWay, encryptPooled } from '../operations/encrypt.js'
import { encryptAnswer, encryptRequest } from '../schemas/encrypt.js'
import { encryptAnswerOf } from './answers.js'
import { readEncryption } from './requests.js'
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
      const { keyLabel, algorithm, plain } = readEncryption(request.body, legacyAlgorithms)
      return reply.code(201).send(encryptAnswerOf(await encrypt(keyLabel, algorithm, plain)))
    },
  )
}
