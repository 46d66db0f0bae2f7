import { generateAesKey } from '../operations/generate-aes-key.js'
import { Problem } from '../problems/problem.js'
import { generateAesKeyAnswer, generateAesKeyRequest } from '../schemas/generate-aes-key.js'
import type { App, RouteContext } from './routes.js'

const PATHS = ['/crypto/generate-aes-key', '/generate-aes-key']
const LOW_31_BITS = 0x7fff_ffffn

/** `POST /crypto/generate-aes-key`, also under its old name. */
export function generateAesKeyRoutes(app: App, { hsm, directory, locks }: RouteContext): void {
  for (const path of PATHS) {
    app.post(
      path,
      {
        schema: { body: generateAesKeyRequest, response: { 201: generateAesKeyAnswer } },
        config: { failure: 'KEY_GENERATION_ERROR' },
      },
      async ({ body }, reply) => {
        const bits = readBits(body.bits)
        const { handle, id } = await generateAesKey(hsm, directory, locks, body.id, bits)
        return reply.code(201).send({ handle: Number(BigInt(handle) & LOW_31_BITS), id, bits })
      },
    )
  }
}

function readBits(bits: number): 128 | 256 {
  if (bits === 128 || bits === 256) return bits
  throw new Problem('INVALID_KEY_SIZE', `bits: got ${bits}, expected 128 or 256`)
}
