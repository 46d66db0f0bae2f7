import { externalFamily, requireKeySize } from '../crypto/external-keys.js'
import { decodeHex } from '../hex.js'
import { deleteKey } from '../operations/delete-key.js'
import type { ExternalKey } from '../operations/external-key.js'
import { storeKey } from '../operations/store-key.js'
import { updateKey } from '../operations/update-key.js'
import {
  deleteKeyAnswer,
  deleteKeyRequest,
  type StoreKeyRequest,
  storeKeyAnswer,
  storeKeyRequest,
  updateKeyAnswer,
} from '../schemas/store-key.js'
import { wireHandle } from './handle.js'
import { underBothNames } from './paths.js'
import type { App, RouteContext } from './routes.js'

/** `POST`, `PUT` and `DELETE /crypto/store-key`, also under its old name. */
export function storeKeyRoutes(app: App, { hsm, keys }: RouteContext): void {
  for (const path of underBothNames('store-key')) {
    app.post(
      path,
      {
        schema: {
          tags: ['keys'],
          summary: 'Stores a key that somebody else has too',
          body: storeKeyRequest,
          response: { 201: storeKeyAnswer },
        },
        config: { action: 'STORE_KEY', failure: 'KEY_STORAGE_ERROR' },
      },
      async ({ body }, reply) => {
        const { handle, ownCopy } = await withExternalKey(body, (key) => storeKey(hsm, keys, key))
        return reply.code(201).send({ handle: wireHandle(handle), cipher_key: ownCopy.toString('hex') })
      },
    )
    app.put(
      path,
      {
        schema: {
          tags: ['keys'],
          summary: 'Replaces a stored key by another value',
          body: storeKeyRequest,
          response: { 200: updateKeyAnswer },
        },
        config: { action: 'UPDATE_KEY', failure: 'KEY_UPDATE_ERROR' },
      },
      async ({ body }) => {
        const { handle, ownCopy } = await withExternalKey(body, (key) => updateKey(hsm, keys, key))
        return {
          message: 'Key updated successfully',
          handle: wireHandle(handle),
          key_label: body.key_label,
          cipher_key: ownCopy.toString('hex'),
        }
      },
    )
    app.delete(
      path,
      {
        schema: {
          tags: ['keys'],
          summary: 'Destroys a key',
          body: deleteKeyRequest,
          response: { 200: deleteKeyAnswer },
        },
        config: { action: 'DELETE_KEY', failure: 'KEY_DELETION_ERROR' },
      },
      async ({ body }) => {
        await deleteKey(hsm, keys, body.key_label, body.id)
        return { message: 'Key deleted successfully', key_label: body.key_label }
      },
    )
  }
}

/** Reads the key of a request, and wipes its value when it has served. */
async function withExternalKey<T>(body: StoreKeyRequest, work: (key: ExternalKey) => Promise<T>): Promise<T> {
  const { key_label: label, id } = body
  const family = externalFamily(label, body.key_type)
  const value = decodeHex('key_value', body.key_value)
  try {
    requireKeySize(label, value)
    return await work({ label, id, family, value })
  } finally {
    value.fill(0)
  }
}
