import type { Divergence, KeyDifference, KeyName } from './divergence.js'
import { COMPARED_NAMES, type ComparedName, IDENTIFYING_NAMES, type ListedKey } from './inventory.js'

/** The keys of each member, by its name. */
export type Inventories = ReadonlyMap<string, readonly ListedKey[]>

/** What became of comparing the keys of members. */
export interface Comparison {
  divergences: Divergence[]
  /** keys that are the same by their names, as far as anything is told that shows it */
  unproven: KeyName[]
}

/**
 * Keys that are not the same everywhere: by class, label and id, of which a member may have several. What one member does not tell of
 * its keys is not compared.
 */
export function compareInventories(inventories: Inventories): Comparison {
  const named = new Map<string, Map<string, ListedKey[]>>()
  for (const [member, keys] of inventories) {
    for (const key of keys) {
      const name = JSON.stringify([key.class, key.label, key.id])
      const holders = named.get(name) ?? new Map<string, ListedKey[]>()
      named.set(name, holders)
      holders.set(member, [...(holders.get(member) ?? []), key])
    }
  }
  const all = [...named.values()]
  return {
    divergences: all.flatMap((holders) => compareHolders(holders, [...inventories.keys()]) ?? []),
    unproven: all.flatMap((holders) => unprovenKey(holders) ?? []),
  }
}

/** A key that several members have, of which one at least tells nothing that another key would not have as well. */
function unprovenKey(holders: ReadonlyMap<string, readonly ListedKey[]>): KeyName | undefined {
  const lists = [...holders.values()]
  const example = lists[0]?.[0]
  const isProven = IDENTIFYING_NAMES.some((name) => lists.every((keys) => valuesOf(keys, name) !== undefined))
  if (example === undefined || lists.length < 2 || isProven) return undefined
  const { class: keyClass, label, id } = example
  return { class: keyClass, label, id }
}

function compareHolders(
  holders: ReadonlyMap<string, readonly ListedKey[]>,
  members: readonly string[],
): Divergence | undefined {
  const lists = [...holders.values()]
  const example = lists[0]?.[0]
  const missingOn = members.filter((member) => !holders.has(member))
  const differs = differences(lists)
  if (example === undefined || (missingOn.length === 0 && differs.length === 0)) return undefined
  const { class: keyClass, label, id } = example
  return { class: keyClass, label, id, on: [...holders.keys()], missingOn, differs }
}

function differences(lists: readonly (readonly ListedKey[])[]): KeyDifference[] {
  if (new Set(lists.map(({ length }) => length)).size > 1) return ['number']
  return COMPARED_NAMES.filter((name) => new Set(lists.flatMap((keys) => valuesOf(keys, name) ?? [])).size > 1)
}

/** Of the keys of one member that have the same name, in an order that does not depend on theirs; undefined where it does not tell. */
function valuesOf(keys: readonly ListedKey[], name: ComparedName): string | undefined {
  const values = keys.flatMap(({ compared }) => compared[name] ?? [])
  return values.length < keys.length ? undefined : values.toSorted().join(' ')
}
