import type { JWK } from 'jose'
import type { Anchor } from './anchor.js'
import type { AuditStore } from './audit-store.js'
import { AuditBroken } from './chain-verifier.js'
import type { AuditKeys, AuditSigner, Signed } from './signer.js'
import { chainsOf, requireContinuation } from './verify-store.js'

/** A line of an export. */
export interface ExportLine {
  entry: { chain?: unknown; seq?: unknown }
  hash: string
  /** where a head signs this entry */
  head?: Signed
  /** on the last line: an {@link ExportStatement} about the whole, so that nothing can be cut off */
  export?: Signed
}

/** What the HSM says about the whole. */
export interface ExportStatement {
  /** where each chain ends */
  export: { chain: string; seq: number; hash: string }[]
  /** of each chain that did not go on from its newest signed heads, the first entry that is wrong or missing */
  broken?: { chain: string; seq: number; what: string }[]
  /** what the heads were verified with, for whoever has no other: such a key tells of changes, not of who wrote the whole */
  keys: JWK[]
  /** the name of the key that signed it */
  key: string
}

/**
 * The audit as lines of JSON, an entry a line, a chain after the other. The last line holds what the HSM says now about where each chain
 * ends, and which of them ends too early: its signature must not make whole what was cut off.
 *
 * @param keys what heads are verified with
 * @param kept the heads that are kept beside the store
 */
export async function* exportLines(
  store: AuditStore,
  signer: AuditSigner,
  keys: AuditKeys,
  kept: readonly Anchor[],
): AsyncGenerator<string> {
  const broken: ExportStatement['broken'] & object = []
  for (const chain of await chainsOf(store, kept)) {
    try {
      await requireContinuation(store, keys, chain, kept)
    } catch (error) {
      if (!(error instanceof AuditBroken)) throw error
      broken.push({ chain, seq: error.seq, what: error.what })
    }
  }
  const ends: ExportStatement['export'] = []
  let held: ExportLine | undefined
  for (const chain of await store.chains()) {
    const heads = store.heads(chain)
    let head = (await heads.next()).value
    let end = { chain, seq: 0, hash: '' }
    for await (const { seq, entry, hash } of store.entries(chain)) {
      if (held !== undefined) yield format(held)
      while (head !== undefined && head.seq < seq) head = (await heads.next()).value
      held = {
        entry: JSON.parse(entry) as ExportLine['entry'],
        hash,
        ...(head?.seq === seq && { head: signedOf(head) }),
      }
      end = { chain, seq, hash }
    }
    ends.push(end)
  }
  if (held === undefined) return
  const signed = await signer.sign({
    export: ends,
    ...(broken.length > 0 && { broken }),
    keys: [...keys.values()].map((key) => key.export({ format: 'jwk' })),
    time: new Date().toISOString(),
  })
  yield format({ ...held, export: signed })
}

function signedOf({ statement, signature }: Signed): Signed {
  return { statement, signature }
}

function format(line: ExportLine): string {
  return `${JSON.stringify(line)}\n`
}
