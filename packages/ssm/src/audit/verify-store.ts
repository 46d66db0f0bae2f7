import { StoreError } from '../store/store-error.js'
import type { Anchor } from './anchor.js'
import type { AuditStore, StoredHead } from './audit-store.js'
import { GENESIS } from './chain.js'
import { AuditBroken, ChainVerifier } from './chain-verifier.js'
import { type AuditKeys, openStatement } from './signer.js'

/** What it takes to look at one chain. */
export type AuditReader = Pick<AuditStore, 'lastEntry' | 'lastHead' | 'entryAt' | 'entries' | 'heads'>

/** A chain that is what was written. */
export interface VerifiedChain {
  chain: string
  entries: number
  /** the last entry that a head covers; those after it are not signed yet */
  signed: number
}

/** What became of all chains: one that is broken says nothing of the others. */
export interface VerifiedStore {
  verified: VerifiedChain[]
  /** of each chain that is not what was written, the first entry that is wrong or missing */
  broken: AuditBroken[]
}

/**
 * Follows every chain in the store.
 *
 * @param kept the heads that are kept beside the store: none of them may be beyond what the store has
 */
export async function verifyStore(store: AuditStore, keys: AuditKeys, kept: readonly Anchor[]): Promise<VerifiedStore> {
  const result: VerifiedStore = { verified: [], broken: [] }
  for (const chain of await chainsOf(store, kept)) {
    try {
      result.verified.push(await verifyChain(store, keys, chain, kept))
    } catch (error) {
      if (!(error instanceof AuditBroken)) throw error
      result.broken.push(error)
    }
  }
  return result
}

/** Those in the store, and those of which only a head is left. */
export async function chainsOf(store: AuditStore, kept: readonly Anchor[]): Promise<string[]> {
  return [...new Set([...(await store.chains()), ...kept.map(({ chain }) => chain)])]
}

async function verifyChain(
  store: AuditStore,
  keys: AuditKeys,
  chain: string,
  kept: readonly Anchor[],
): Promise<VerifiedChain> {
  const own = placesOf(chain, kept, keys)
  const newest = await store.lastHead(chain)
  const verifier = new ChainVerifier(chain, keys)
  await follow(store, verifier, inOrder(store.heads(chain, undefined, newest), own))
  if (verifier.signedSeq === 0)
    throw new AuditBroken(chain, 1, 'no head signs it, nor any after it: the heads are missing')
  return { chain, entries: verifier.head.seq, signed: verifier.signedSeq }
}

/**
 * Looks whether what the store holds goes on from all heads that may be the newest. Whoever signs what comes after must know that: a
 * signature over a chain whose end was cut off would make it look whole.
 *
 * @throws AuditBroken
 */
export async function requireContinuation(
  store: AuditReader,
  keys: AuditKeys,
  chain: string,
  kept: readonly Anchor[],
): Promise<void> {
  const own = placesOf(chain, kept, keys)
  const newest = await store.lastHead(chain)
  const places = [newest, ...own.map(({ seq }) => seq)]
  const oldest = Math.min(...places)
  const end = await store.lastEntry(chain)
  if (end.seq < oldest) new ChainVerifier(chain, keys, end).beyond(Math.max(...places))
  // the entry of that head is followed too: its hash says that the one before it is what it was
  const before = oldest <= 1 ? GENESIS : await store.entryAt(chain, oldest - 1)
  if (before === undefined) throw new AuditBroken(chain, oldest - 1, `it is missing: entry ${oldest} comes next`)
  await follow(store, new ChainVerifier(chain, keys, before), inOrder(store.heads(chain, oldest, newest), own))
}

/** What a database says of a file that is not as it left it; anything else, such as being away, says nothing of the audit. */
const DAMAGE = /^(SQLITE_CORRUPT|SQLITE_NOTADB|XX00[12]$)/

/** From where the verifier stands to the end. Heads are those that were there before the first entry is read: later ones may sign later ones. */
async function follow(
  store: AuditReader,
  verifier: ChainVerifier,
  heads: AsyncGenerator<StoredHead, undefined>,
): Promise<void> {
  const { chain } = verifier
  let head = (await heads.next()).value
  try {
    for await (const entry of store.entries(chain, verifier.head.seq === 0 ? undefined : verifier.head.seq)) {
      verifier.entry(entry)
      for (; head !== undefined && head.seq <= entry.seq; head = (await heads.next()).value) {
        verifier.headOf(head.seq, head)
      }
    }
  } catch (error) {
    if (!(error instanceof StoreError) || !DAMAGE.test(error.code)) throw error
    throw new AuditBroken(chain, verifier.head.seq + 1, `it cannot be read: ${error.message} (${error.code})`)
  }
  for await (const later of heads) head = later
  if (head !== undefined) verifier.beyond(head.seq)
}

/** Heads of the store, and among them those that are kept beside it. */
async function* inOrder(
  stored: AsyncIterable<StoredHead>,
  kept: readonly StoredHead[],
): AsyncGenerator<StoredHead, undefined> {
  const left = kept.toSorted((a, b) => b.seq - a.seq)
  for await (const head of stored) {
    for (let own = left.at(-1); own !== undefined && own.seq <= head.seq; own = left.at(-1)) {
      left.pop()
      yield own
    }
    yield head
  }
  for (const own of left.toReversed()) yield own
}

/** The heads of a chain that are kept beside the store, with their places. @throws AuditBroken */
function placesOf(chain: string, kept: readonly Anchor[], keys: AuditKeys): StoredHead[] {
  return kept
    .filter((each) => each.chain === chain)
    .map(({ head }) => {
      const seq = openStatement(head, keys)?.seq
      if (typeof seq === 'number') return { ...head, seq }
      throw new AuditBroken(chain, 1, 'a head that is kept beside the store was changed, or signed by another key')
    })
}
