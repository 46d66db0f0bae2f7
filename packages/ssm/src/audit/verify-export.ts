import { AuditBroken, ChainVerifier } from './chain-verifier.js'
import type { ExportEnd, ExportLine, ExportStatement } from './export.js'
import { type AuditKeys, auditKeysOf, openStatement } from './signer.js'
import type { VerifiedChain } from './verify-store.js'

/** An export that is what was exported. */
export interface VerifiedExport {
  chains: VerifiedChain[]
  /** the name of the key that signed it */
  key: string
}

/**
 * Follows the chains in an export.
 *
 * @param lines each with its line end
 * @param known the keys to trust; without them those in the export, which prove only that it is whole
 * @throws AuditBroken at the first entry that is wrong or missing
 */
export async function verifyExport(lines: readonly string[], known: AuditKeys | undefined): Promise<VerifiedExport> {
  const parsed = lines.map((line, index) => parseLine(line, index + 1))
  const last = parsed.at(-1)
  const lastSeq = seqOf(last)
  const chainOfLast = chainOf(last)
  if (last?.export === undefined) {
    throw new AuditBroken(chainOfLast, lastSeq + 1, 'it is missing, or the end of the export: the end was cut off')
  }
  const keys = known ?? (await keysIn(last.export))
  const end = openStatement(last.export, keys) as ExportStatement | undefined
  if (end === undefined || !Array.isArray(end.export)) {
    throw new AuditBroken(chainOfLast, lastSeq, 'the statement about the whole was changed, or signed by another key')
  }
  const chains: VerifiedChain[] = []
  let next = 0
  for (const { chain, seq: endSeq, hash: endHash } of end.export) {
    const verifier = new ChainVerifier(chain, keys)
    for (let line = parsed[next]; line !== undefined && chainOf(line) === chain; line = parsed[++next]) {
      const seq = seqOf(line)
      verifier.entry({ seq, entry: JSON.stringify(line.entry), hash: line.hash })
      if (line.head !== undefined) verifier.headOf(seq, line.head)
    }
    const { seq, hash } = verifier.head
    if (seq < endSeq) verifier.beyond(endSeq)
    if (seq !== endSeq || hash !== endHash) throw new AuditBroken(chain, seq, 'the export says that it ends elsewhere')
    chains.push({ chain, entries: seq, signed: seq })
  }
  if (next < parsed.length) {
    throw new AuditBroken(chainOf(parsed[next]), seqOf(parsed[next]), 'it does not belong to the export, or not there')
  }
  const [broken] = end.broken ?? []
  if (broken !== undefined) throw new AuditBroken(broken.chain, broken.seq, `when it was exported, ${broken.what}`)
  return { chains, key: end.key }
}

/** None where what is there are no keys: then nothing verifies. */
async function keysIn({ keys }: ExportEnd): Promise<AuditKeys> {
  try {
    return await auditKeysOf(keys)
  } catch {
    return new Map()
  }
}

const MEMBERS: ReadonlySet<string> = new Set(['entry', 'hash', 'head', 'export'] satisfies (keyof ExportLine)[])

/** Only what the export wrote: another text of the same meaning is a change as well. */
function parseLine(line: string, number: number): ExportLine {
  try {
    const value = JSON.parse(line) as Partial<ExportLine> | null
    const isKnown = Object.keys(value ?? {}).every((name) => MEMBERS.has(name))
    if (
      isKnown &&
      typeof value?.entry === 'object' &&
      value.entry !== null &&
      typeof value.hash === 'string' &&
      `${JSON.stringify(value)}\n` === line
    ) {
      // the members that are not looked at here are signed
      return value as ExportLine
    }
  } catch {
    // told below, with the number
  }
  throw new AuditBroken('?', number, `line ${number} is not as the export wrote it`)
}

function seqOf(line: ExportLine | undefined): number {
  return typeof line?.entry.seq === 'number' ? line.entry.seq : 0
}

function chainOf(line: ExportLine | undefined): string {
  return typeof line?.entry.chain === 'string' ? line.entry.chain : '?'
}
