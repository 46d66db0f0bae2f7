import type { JWK } from 'jose'
import type { AuditStore } from './audit-store.js'
import type { AuditSigner, Signed } from './signer.js'

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

/**
 * The audit as lines of JSON, an entry a line, a chain after the other. The last line holds what the HSM says now about where each chain ends.
 */
export async function* exportLines(store: AuditStore, signer: AuditSigner, keys: JWK[]): AsyncGenerator<string> {
  const ends: { chain: string; seq: number; hash: string }[] = []
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
  const signed = await signer.sign({ export: ends, time: new Date().toISOString() })
  yield format({ ...held, export: { ...signed, keys } })
}

function format(line: ExportLine): string {
  return `${JSON.stringify(line)}\n`
}
