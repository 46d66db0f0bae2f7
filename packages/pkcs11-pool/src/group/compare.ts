import type { Divergence, KeyDifference } from './divergence.js'
import { COMPARED_NAMES, type ComparedName, type ListedKey } from './inventory.js'

/** The keys of each member, by its name. */
export type Inventories = ReadonlyMap<string, readonly ListedKey[]>

/**
 * Keys that are not the same everywhere: by class, label and id, of which a member may have several. What one member does not tell of
 * its keys is not compared.
 */
export function compareInventories(inventories: Inventories): Divergence[] {
  const named = new Map<string, Map<string, ListedKey[]>>()
  for (const [member, keys] of inventories) {
    for (const key of keys) {
      const name = JSON.stringify([key.class, key.label, key.id])
      const holders = named.get(name) ?? new Map<string, ListedKey[]>()
      named.set(name, holders)
      holders.set(member, [...(holders.get(member) ?? []), key])
    }
  }
  return [...named.values()].flatMap((holders) => compareHolders(holders, [...inventories.keys()]) ?? [])
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
