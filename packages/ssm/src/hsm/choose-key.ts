import { randomInt } from 'node:crypto'
import { Problem } from '../problems/problem.js'
import type { KeyChoice } from './hsm.js'
import type { StoredKey } from './stored-key.js'

/**
 * Picks a key to encrypt with, at random, so that load and exposure spread. Only keys that a decrypt can name again are picked:
 * not those that share an id, and one with id 0 only where it is the only key.
 *
 * @throws Problem KEY_NOT_FOUND, KEY_AMBIGUOUS where keys are there and none can be named
 */
export function anyKey(label: string): KeyChoice {
  return (keys) => {
    if (keys.length === 0) throw notFound(label, 0)
    const uses = new Map<number, number>()
    for (const { id } of keys) uses.set(id, (uses.get(id) ?? 0) + 1)
    const nameable = keys.filter(({ id }) => uses.get(id) === 1 && (id !== 0 || keys.length === 1))
    if (nameable.length === 0) throw ambiguous(label, 'every key shares its id with another or has none', keys)
    // randomInt costs a call into OpenSSL, which one key does not need
    const picked = nameable[nameable.length === 1 ? 0 : randomInt(nameable.length)]
    if (picked === undefined) throw notFound(label, 0)
    return picked
  }
}

/**
 * The one key with the id; id 0 means the only key under the label.
 *
 * @throws Problem KEY_NOT_FOUND, KEY_AMBIGUOUS naming the ids
 */
export function keyWithId(label: string, id: number): KeyChoice {
  return (keys) => {
    const matches = id === 0 ? keys : keys.filter((key) => key.id === id)
    const [match, another] = matches
    if (match === undefined) throw notFound(label, id)
    if (another === undefined) return match
    if (id === 0) throw ambiguous(label, 'several keys have this label and no id was given', matches)
    throw ambiguous(label, `several keys have id ${id}`, matches)
  }
}

/**
 * The one key that has the id, 0 included: a key that is to be changed has to be named, so 0 does not stand for the only one.
 *
 * @throws Problem KEY_NOT_FOUND, KEY_AMBIGUOUS
 */
export function keyWithExactId(label: string, id: number): KeyChoice {
  return (keys) => {
    const [match, ...others] = keys.filter((key) => key.id === id)
    if (match === undefined)
      throw notFound(label, id, id === 0 ? 'give the id of the one that is meant' : 'give the id of one that is there')
    if (others.length > 0) throw ambiguous(label, `several keys have id ${id}`, [match, ...others])
    return match
  }
}

function notFound(label: string, id: number, next = 'generate or store it first'): Problem {
  const which = id === 0 ? 'no key' : `no key with id ${id}`
  return new Problem('KEY_NOT_FOUND', `${which} under key_label ${JSON.stringify(label)}: ${next}`)
}

function ambiguous(label: string, why: string, keys: readonly StoredKey[]): Problem {
  const named = keys.slice(0, 16).map(({ id, ckaId }) => `${id} (CKA_ID ${ckaId.toString('hex') || 'empty'})`)
  const more = keys.length > named.length ? ` and ${keys.length - named.length} more` : ''
  return new Problem(
    'KEY_AMBIGUOUS',
    `key_label ${JSON.stringify(label)}: ${why}; ids there are ${named.join(', ')}${more}: give the id of one, or remove the others`,
  )
}
