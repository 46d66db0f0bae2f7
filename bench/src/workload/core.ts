import { type KeyObject, randomBytes, randomInt } from 'node:crypto'
import { open, openGcm, OWN_LABEL, OWN_WAY, type Sealed, type Subscriber, TRANSPORT_KEYS } from './material.js'
import { ReplacedKey } from './replaced-key.js'
import type { Answer, Ask } from './service.js'
import type { Kind } from './tally.js'
import type { Claim } from './unknown-key.js'

/** The core's own key that a rotation replaces. Another stays beside it, so that encrypting goes on. */
export const REPLACED_ID = 1
/** The transport key that is replaced, by its place. */
export const REPLACED_TRANSPORT = 0
const PLAIN_BYTES = 16

/** A request, and what is to be said of its answer: undefined where it is right, else what is wrong. */
export interface Operation {
  kind: Kind
  ask: Ask
  /** @param sent when, as `answered`, by the clock of {@link ReplacedKey} */
  judge(answer: Answer, sent: number, answered: number): string | undefined
}

/** What the core knows of the values of its keys. */
export interface CoreKeys {
  transport: readonly KeyObject[]
  /** what replaces the transport key that is replaced */
  freshTransport: KeyObject
  /** own keys by id: the first value of the one that is replaced, and the one that stays */
  own: ReadonlyMap<number, KeyObject>
}

/** What the core asks of the service for its subscribers, and what it knows of each answer. */
export class Core {
  readonly transportReplaced = new ReplacedKey()
  readonly ownReplaced = new ReplacedKey()
  /** answers of the own key that replaced the first: nobody knows its value, so they are to be proven on the token */
  readonly claims: Claim[] = []
  readonly subscribers: readonly Subscriber[]
  readonly keys: CoreKeys

  constructor(subscribers: readonly Subscriber[], keys: CoreKeys) {
    this.subscribers = subscribers
    this.keys = keys
  }

  /** One request of the mix at random: 80 % decrypt, 15 % encrypt, 5 % others. */
  next(): Operation {
    const dice = randomInt(100)
    if (dice < 40) return this.#decryptTransported(pick(this.subscribers))
    if (dice < 80) return this.decryptStored(pick(this.subscribers))
    if (dice < 95) return this.encrypt(randomPlain(), () => {})
    const others = [() => health(), () => this.#getKey(), () => this.#getDataKeys(), () => this.#encryptGcm()]
    return pick(others)()
  }

  /** As UDM does: what the core keeps of a subscriber. */
  decryptStored({ stored: { id, ...sealed } }: Subscriber): Operation {
    const old = open(OWN_WAY, this.#ownKey(id), sealed)
    const replaced = id === REPLACED_ID ? this.ownReplaced : undefined
    return {
      kind: 'decrypt own',
      ask: decryptOf(OWN_LABEL, id, OWN_WAY.algorithm, sealed),
      judge: (answer, sent, answered) => {
        if (replaced?.mayBeOld(sent) !== false && isDecrypted(answer, old)) return undefined
        if (isMissing(answer, replaced, sent, answered)) return undefined
        const plain = answer.status === 200 ? String(answer.body.plain) : undefined
        if (replaced?.mayBeNew(answered) !== true || !isDecrypted(answer, plain)) return unexpected(answer)
        this.claims.push({ sealed, plain })
        return undefined
      },
    }
  }

  /** @param keep hears what it was encrypted to */
  encrypt(plain: string, keep: (stored: Subscriber['stored']) => void): Operation {
    const body = { key_label: OWN_LABEL, plain, encryption_algorithm: OWN_WAY.algorithm }
    return {
      kind: 'encrypt',
      ask: { account: 'webconsole', method: 'POST', path: '/crypto/encrypt', body },
      judge: (answer, sent, answered) => {
        if (answer.status !== 201) return unexpected(answer)
        const { cipher, iv, id } = answer.body as unknown as Subscriber['stored']
        const opened = open(OWN_WAY, this.#ownKey(id), { cipher, iv })
        const wrong = this.#judgeSealed({ cipher, iv }, id, plain, opened, sent, answered)
        if (wrong === undefined) keep({ cipher, iv, id })
        return wrong
      },
    }
  }

  /** As when a SIM maker's data is taken in. */
  #decryptTransported({ transportKey, transported }: Subscriber): Operation {
    const key = itemOf(TRANSPORT_KEYS, transportKey)
    const sealed = pick(transported)
    const old = open(key, itemOf(this.keys.transport, transportKey), sealed)
    const replaced = transportKey === REPLACED_TRANSPORT ? this.transportReplaced : undefined
    const fresh = replaced === undefined ? undefined : open(key, this.keys.freshTransport, sealed)
    return {
      kind: key.type === 'AES' ? 'decrypt K4, AES' : 'decrypt K4, DES3',
      ask: decryptOf(key.label, key.id, key.algorithm, sealed),
      judge: (answer, sent, answered) => {
        if (replaced?.mayBeOld(sent) !== false && isDecrypted(answer, old)) return undefined
        if (replaced?.mayBeNew(answered) === true && isDecrypted(answer, fresh)) return undefined
        return isMissing(answer, replaced, sent, answered) ? undefined : unexpected(answer)
      },
    }
  }

  #encryptGcm(): Operation {
    const plain = randomPlain()
    return {
      kind: 'other',
      ask: webconsole('/crypto/encrypt-aes-gcm', { key_label: OWN_LABEL, plain, aad: '' }),
      judge: (answer, sent, answered) => {
        if (answer.status !== 200) return unexpected(answer)
        const { cipher, iv, tag, id } = answer.body as { cipher: string; iv: string; tag: string; id: number }
        const opened = openGcm(this.#ownKey(id), { cipher, iv, tag })
        return this.#judgeSealed({ cipher, iv, tag }, id, plain, opened, sent, answered)
      },
    }
  }

  /** @param opened what the first value of the key makes of it */
  #judgeSealed(
    sealed: Sealed,
    id: number,
    plain: string,
    opened: string | undefined,
    sent: number,
    answered: number,
  ): string | undefined {
    const replaced = id === REPLACED_ID ? this.ownReplaced : undefined
    if (replaced?.mayBeOld(sent) !== false && opened === plain) return undefined
    if (replaced?.mayBeNew(answered) !== true) return `what the key ${id} encrypted is not what was sent`
    this.claims.push({ sealed, plain })
    return undefined
  }

  #getKey(): Operation {
    const place = randomInt(TRANSPORT_KEYS.length)
    const { label, id, bytes } = itemOf(TRANSPORT_KEYS, place)
    const replaced = place === REPLACED_TRANSPORT ? this.transportReplaced : undefined
    return {
      kind: 'other',
      ask: webconsole('/crypto/get-key', { key_label: label, id }),
      judge: (answer, sent, answered) => {
        const info = answer.body.key_info as { id: number; size_bits: number } | undefined
        if (info?.id === id && info.size_bits === bytes * 8) return undefined
        return isMissing(answer, replaced, sent, answered) ? undefined : unexpected(answer)
      },
    }
  }

  #getDataKeys(): Operation {
    const { label, id: replacedId } = itemOf(TRANSPORT_KEYS, REPLACED_TRANSPORT)
    const all = TRANSPORT_KEYS.filter((key) => key.label === label).map(({ id }) => id)
    return {
      kind: 'other',
      ask: webconsole('/crypto/get-data-keys', { key_label: label }),
      judge: (answer, sent, answered) => {
        if (answer.status !== 200) return unexpected(answer)
        const ids = (answer.body.keys as { id: number }[]).map(({ id }) => id).toSorted((a, b) => a - b)
        if (ids.join() === all.join()) return undefined
        const mayMiss = this.transportReplaced.mayBeMissing(sent, answered)
        return mayMiss && ids.join() === all.filter((id) => id !== replacedId).join() ? undefined : unexpected(answer)
      },
    }
  }

  #ownKey(id: number): KeyObject {
    const key = this.keys.own.get(id)
    if (key === undefined) throw new Error(`no key ${OWN_LABEL} has id ${id}`)
    return key
  }
}

function health(): Operation {
  return {
    kind: 'other',
    ask: { account: 'webconsole', method: 'GET', path: '/crypto/health-check' },
    judge: (answer) => (answer.status === 200 && answer.body.status === 'OK' ? undefined : unexpected(answer)),
  }
}

function decryptOf(label: string, id: number, algorithm: number, sealed: Sealed): Ask {
  const body = { key_label: label, id, ...sealed, encryption_algorithm: algorithm }
  return { account: 'udm', method: 'POST', path: '/crypto/decrypt', body }
}

function webconsole(path: string, body: object): Ask {
  return { account: 'webconsole', method: 'POST', path, body }
}

/** @param plain undefined where the data does not decrypt */
function isDecrypted({ status, body }: Answer, plain: string | undefined): boolean {
  return plain === undefined
    ? status === 500 && body.error === 'DECRYPTION_ERROR'
    : status === 200 && body.plain === plain
}

function isMissing({ body }: Answer, replaced: ReplacedKey | undefined, sent: number, answered: number): boolean {
  return body.error === 'KEY_NOT_FOUND' && replaced?.mayBeMissing(sent, answered) === true
}

function unexpected({ status, body }: Answer): string {
  return `${status} ${JSON.stringify(body)}`
}

function randomPlain(): string {
  return randomBytes(PLAIN_BYTES).toString('hex')
}

function pick<T>(items: readonly T[]): T {
  return itemOf(items, randomInt(items.length))
}

function itemOf<T>(items: readonly T[], place: number): T {
  const item = items[place]
  if (item === undefined) throw new Error(`nothing at ${place}`)
  return item
}
