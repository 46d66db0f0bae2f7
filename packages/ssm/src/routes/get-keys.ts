import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { KeyDetails } from '../hsm/stored-key.js'
import { findAllKeys, findKey, findKeys } from '../operations/find-keys.js'
import {
  getAllKeysAnswer,
  getAllKeysRequest,
  getDataKeysAnswer,
  getDataKeysRequest,
  getKeyAnswer,
  getKeyRequest,
  type KeyInfo,
} from '../schemas/get-keys.js'
import { wireHandle } from './handle.js'
import { underBothNames } from './paths.js'
import type { App, RouteContext } from './routes.js'

/** `POST /crypto/get-key`, `/crypto/get-data-keys` and `/crypto/get-all-keys`, also under their old names. */
export function getKeysRoutes(app: App, context: RouteContext): void {
  for (const path of underBothNames('get-key')) {
    app.post(
      path,
      {
        schema: { tags: ['keys'], summary: 'Tells of one key', body: getKeyRequest, response: { 200: getKeyAnswer } },
        config: { action: 'GET_KEY', failure: 'KEY_GET_ERROR' },
      },
      async ({ body }) => ({ key_info: infoOf(await findKey(context.hsm, body.key_label, body.id)) }),
    )
  }
  for (const path of underBothNames('get-data-keys')) {
    app.post(
      path,
      {
        schema: {
          tags: ['keys'],
          summary: 'Tells of the keys under a label',
          body: getDataKeysRequest,
          response: { 200: getDataKeysAnswer },
        },
        config: { action: 'GET_KEYS', failure: 'KEY_GET_ERROR' },
      },
      async ({ body }) => ({ keys: (await findKeys(context.hsm, body.key_label)).map(infoOf) }),
    )
  }
  addGetAllKeys(app, context)
}

/** Clients post it without a body and without a content type; with a content type and no body it is no other request. */
function addGetAllKeys(app: App, { hsm }: RouteContext): void {
  void app.register((plugin, _options, done) => {
    const scope = plugin.withTypeProvider<TypeBoxTypeProvider>()
    const parseJson = scope.getDefaultJsonParser('error', 'error')
    scope.removeContentTypeParser('application/json')
    scope.addContentTypeParser<string>('application/json', { parseAs: 'string' }, (request, body, parsed) => {
      if (body === '') parsed(null, undefined)
      else void parseJson(request, body, parsed)
    })
    for (const path of underBothNames('get-all-keys')) {
      scope.post(
        path,
        {
          schema: {
            tags: ['keys'],
            summary: 'Tells of all keys but those of the service itself',
            body: getAllKeysRequest,
            response: { 200: getAllKeysAnswer },
          },
          config: { action: 'GET_ALL_KEYS', failure: 'KEY_GET_ERROR' },
          preValidation: (request, _reply, next) => {
            request.body ??= {}
            next()
          },
        },
        async () => {
          const byLabel = [...(await findAllKeys(hsm))]
          return {
            keys_by_label: Object.fromEntries(byLabel.map(([label, keys]) => [label, keys.map(infoOf)])),
            total_keys: byLabel.reduce((total, [, keys]) => total + keys.length, 0),
            total_labels: byLabel.length,
          }
        },
      )
    }
    done()
  })
}

function infoOf({ handle, id, sizeBits }: KeyDetails): KeyInfo {
  return { handle: wireHandle(handle), id, size_bits: sizeBits }
}
