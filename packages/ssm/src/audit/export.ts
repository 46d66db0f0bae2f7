import type { JWK } from 'jose'
import type { Anchor } from './anchor.js'
import type { AuditStore } from './audit-store.js'
import { AuditBroken } from './chain-verifier.js'
import { type AuditSigner, auditKeysOf, type Signed } from './signer.js'
import { chainsOf, requireContinuation } from './verify-store.js'

/** What the last line of an export says about the whole, so that nothing can be cut off. */
export interface ExportEnd extends Signed {
  /** the public keys that heads and this statement verify with */
  keys: JWK[]
}

/** A line of an export. */
export interface ExportLine {
  entry: { chain?: unknown; seq?: unknown }
  hash: string
  /** where a head signs this entry */
  head?: Signed
  /** on the last line */
  export?: ExportEnd
}

/** What the HSM says about the whole. */
export interface ExportStatement {
  /** where each chain ends */
  export: { chain: string; seq: number; hash: string }[]
  /** of each chain that did not go on from its newest signed heads, the first entry that is wrong or missing */
  broken?: { chain: string; seq: number; what: string }[]
  /** the name of the key that signed it */
  key: string
}

/**
 * The audit as lines of JSON, an entry a line, a chain after the other. The last line holds what the HSM says now about where each chain
 * ends, and which of them ends too early: its signature must not make whole what was cut off.
 *
 * @param kept the heads that are kept beside the store
 */
export async function* exportLines(
  store: AuditStore,
  signer: AuditSigner,
  keys: JWK[],
  kept: readonly Anchor[],
): AsyncGenerator<string> {
  const known = await auditKeysOf(keys)
  const broken: ExportStatement['broken'] & object = []
  for (const chain of await chainsOf(store, kept)) {
    try {
      await requireContinuation(store, known, chain, kept)
    } catch (error) {
      if (!(error instanceof AuditBroken)) throw error
      broken.push({ chain, seq: error.seq, what: error.what })
    }
  }
  const ends: ExportStatement['export'] = []
  let held: ExportLine | undefined
  for (const chain of await store.chains()) {
    const heads = new Map(
      (await store.heads(chain)).map(({ seq, statement, signature }) => [seq, { statement, signature }]),
    )
    let end = { chain, seq: 0, hash: '' }
    for await (const { seq, entry, hash } of store.entries(chain)) {
      if (held !== undefined) yield format(held)
      const head = heads.get(seq)
      held = { entry: JSON.parse(entry) as ExportLine['entry'], hash, ...(head !== undefined && { head }) }
      end = { chain, seq, hash }
    }
    ends.push(end)
  }
  if (held === undefined) return
  const signed = await signer.sign({
    export: ends,
    ...(broken.length > 0 && { broken }),
    time: new Date().toISOString(),
  })
  yield format({ ...held, export: { ...signed, keys } })
}

function format(line: ExportLine): string {
  return `${JSON.stringify(line)}\n`
}
