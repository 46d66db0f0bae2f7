import { type Core, type Operation, REPLACED_ID, REPLACED_TRANSPORT } from './core.js'
import type { Load } from './load.js'
import { OWN_LABEL, seal, TRANSPORT_KEYS } from './material.js'
import type { Service } from './service.js'
import type { Tally } from './tally.js'

/** What the steps of a rotation took, in milliseconds. */
export interface RotationTimes {
  decrypt_all_ms: number
  replace_ms: number
  encrypt_all_ms: number
  replace_transport_key_ms: number
}

/**
 * The rotation of the contract's section 5, beside the load that goes on: every subscriber's data is decrypted, the key deleted, one
 * generated under the same label and id, and every subscriber's data encrypted again. After it, a SIM maker's key is replaced by another.
 */
export async function rotate(
  service: Service,
  core: Core,
  load: Load,
  tally: Tally,
  atOnce: number,
): Promise<RotationTimes> {
  const laps = [performance.now()]
  const lap = () => laps.push(performance.now())
  await load.storm(decryptAll(core), tally, atOnce)
  lap()
  const own = { key_label: OWN_LABEL, id: REPLACED_ID }
  await core.ownReplaced.delete(() => change(service, 'DELETE', '/crypto/store-key', own))
  await core.ownReplaced.make(() => change(service, 'POST', '/crypto/generate-aes-key', { id: REPLACED_ID, bits: 256 }))
  lap()
  await load.storm(encryptAll(core), tally, atOnce)
  lap()
  await replaceTransportKey(service, core)
  lap()
  const took = laps.slice(1).map((end, place) => Math.round(end - (laps[place] ?? end)))
  const [decrypt_all_ms = 0, replace_ms = 0, encrypt_all_ms = 0, replace_transport_key_ms = 0] = took
  return { decrypt_all_ms, replace_ms, encrypt_all_ms, replace_transport_key_ms }
}

function* decryptAll(core: Core): Iterable<Operation> {
  for (const subscriber of core.subscribers) yield core.decryptStored(subscriber)
}

function* encryptAll(core: Core): Iterable<Operation> {
  for (const subscriber of core.subscribers) {
    yield core.encrypt(subscriber.ki, (stored) => {
      subscriber.stored = stored
    })
  }
}

async function replaceTransportKey(service: Service, { subscribers, keys, transportReplaced }: Core): Promise<void> {
  const key = TRANSPORT_KEYS[REPLACED_TRANSPORT]
  if (key === undefined) throw new Error('there is no transport key to replace')
  const { label: key_label, id, type: key_type } = key
  for (const { transportKey, transported, ki } of subscribers) {
    if (transportKey === REPLACED_TRANSPORT) transported.push(seal(key, keys.freshTransport, ki))
  }
  await transportReplaced.delete(() => change(service, 'DELETE', '/crypto/store-key', { key_label, id }))
  const key_value = keys.freshTransport.export().toString('hex')
  await transportReplaced.make(() =>
    change(service, 'POST', '/crypto/store-key', { key_label, id, key_type, key_value }),
  )
  // what came under the old value is of no use any more
  for (const { transportKey, transported } of subscribers) if (transportKey === REPLACED_TRANSPORT) transported.shift()
}

/** Changes keys as the web console does. Throws where that is refused. */
export async function change(
  service: Service,
  method: 'POST' | 'DELETE',
  path: string,
  body: Record<string, unknown>,
): Promise<void> {
  const { status, body: answer } = await service.ask({ account: 'webconsole', method, path, body })
  if (status !== 200 && status !== 201)
    throw new Error(`${method} ${path} was answered with ${status}: ${JSON.stringify(answer)}`)
}
