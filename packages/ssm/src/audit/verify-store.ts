import { StoreError } from '../store/store-error.js'
import type { Anchor } from './anchor.js'
import type { AuditStore } from './audit-store.js'
import { AuditBroken, ChainVerifier } from './chain-verifier.js'
import { type AuditKeys, openStatement } from './signer.js'

/** A chain that is what was written. */
export interface VerifiedChain {
  chain: string
  entries: number
  /** the last entry that a head covers; those after it are not signed yet */
  signed: number
}

/**
 * Follows every chain in the store.
 *
 * @param anchors the heads that the HSM keeps: none of them may be beyond what the store has
 * @throws AuditBroken at the first entry that is wrong or missing
 */
export async function verifyStore(
  store: AuditStore,
  keys: AuditKeys,
  anchors: readonly Anchor[],
): Promise<VerifiedChain[]> {
  const verified: VerifiedChain[] = []
  const chains = new Set([...(await store.chains()), ...anchors.map((each) => each.chain)])
  for (const chain of chains) {
    verified.push(
      await verifyChain(
        store,
        keys,
        chain,
        anchors.filter((each) => each.chain === chain),
      ),
    )
  }
  return verified
}

async function verifyChain(
  store: AuditStore,
  keys: AuditKeys,
  chain: string,
  anchors: readonly Anchor[],
): Promise<VerifiedChain> {
  const verifier = new ChainVerifier(chain, keys)
  const heads = [
    ...(await store.heads(chain)),
    ...anchors.map(({ head }) => ({ ...head, seq: Number(openStatement(head, keys)?.seq ?? 0) })),
  ].toSorted((a, b) => a.seq - b.seq)
  let next = 0
  try {
    for await (const entry of store.entries(chain)) {
      verifier.entry(entry)
      for (let head = heads[next]; head !== undefined && head.seq <= entry.seq; head = heads[++next]) {
        verifier.headOf(head.seq, head)
      }
    }
  } catch (error) {
    if (!(error instanceof StoreError)) throw error
    throw new AuditBroken(chain, verifier.head.seq + 1, `it cannot be read: ${error.message} (${error.code})`)
  }
  const left = heads.at(-1)
  if (left !== undefined && next < heads.length) verifier.beyond(left.seq)
  if (verifier.signedSeq === 0)
    throw new AuditBroken(chain, 1, 'no head signs it, nor any after it: the heads are missing')
  return { chain, entries: verifier.head.seq, signed: verifier.signedSeq }
}
