import { aesKind, type KeyKind, legacyKind } from '../crypto/key-kinds.js'
import { generateKey } from '../operations/generate-key.js'
import {
  type GeneratedKeyAnswer,
  generateAesKeyAnswer,
  generateAesKeyRequest,
  generatedKeyAnswer,
  generateLegacyKeyRequest,
} from '../schemas/generate-keys.js'
import { wireHandle } from './handle.js'
import { underBothNames } from './paths.js'
import type { App, RouteContext } from './routes.js'

/** `POST /crypto/generate-aes-key`, `-des-key` and `-des3-key`, also under their old names. */
export function generateKeyRoutes(app: App, context: RouteContext): void {
  for (const path of underBothNames('generate-aes-key')) {
    app.post(
      path,
      {
        schema: {
          tags: ['keys'],
          summary: 'Makes an AES key on the token',
          body: generateAesKeyRequest,
          response: { 201: generateAesKeyAnswer },
        },
        config: { action: 'GENERATE_AES_KEY', failure: 'KEY_GENERATION_ERROR' },
      },
      async ({ body }, reply) => {
        const made = await make(context, body.id, aesKind(body.bits))
        return reply.code(201).send({ ...made, bits: body.bits })
      },
    )
  }
  addLegacy(app, context, 'DES')
  addLegacy(app, context, 'DES3')
}

function addLegacy(app: App, context: RouteContext, name: 'DES' | 'DES3'): void {
  for (const path of underBothNames(`generate-${name.toLowerCase()}-key`)) {
    app.post(
      path,
      {
        schema: {
          tags: ['keys'],
          summary: `Makes a ${name} key on the token, where legacy algorithms are allowed`,
          body: generateLegacyKeyRequest,
          response: { 201: generatedKeyAnswer },
        },
        config: { action: `GENERATE_${name}_KEY`, failure: 'KEY_GENERATION_ERROR' },
      },
      async ({ body }, reply) => {
        const made = await make(context, body.id, legacyKind(name, context.legacyAlgorithms))
        return reply.code(201).send(made)
      },
    )
  }
}

async function make({ hsm, keys }: RouteContext, id: number, kind: KeyKind): Promise<GeneratedKeyAnswer> {
  const made = await generateKey(hsm, keys, id, kind)
  return { handle: wireHandle(made.handle), id: made.id }
}
