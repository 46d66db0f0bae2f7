import { AuditBroken, ChainVerifier } from './chain-verifier.js'
import type { ExportLine, ExportStatement } from './export.js'
import { type AuditKeys, auditKeysOf, openStatement, type Signed } from './signer.js'
import type { VerifiedChain } from './verify-store.js'

/** An export that is what was exported. */
export interface VerifiedExport {
  chains: VerifiedChain[]
  /** the name of the key that signed it */
  key: string
}

/**
 * Follows the chains in an export, a line at a time: however long it is, no more of it is held.
 *
 * @param lines each with its line end
 * @param keys those to trust. Of those that the export brings see {@link keysOfExport}
 * @throws AuditBroken at the first entry that is wrong or missing
 */
export async function verifyExport(
  lines: AsyncIterable<string> | Iterable<string>,
  keys: AuditKeys,
): Promise<VerifiedExport> {
  const followed: ChainVerifier[] = []
  let end: Signed | undefined
  let number = 0
  for await (const text of lines) {
    const line = parseLine(text, ++number)
    const [chain, seq] = [chainOf(line), seqOf(line)]
    if (end !== undefined) throw new AuditBroken(chain, seq, 'it does not belong to the export, or not there')
    let verifier = followed.at(-1)
    if (verifier?.chain !== chain) followed.push((verifier = new ChainVerifier(chain, keys)))
    verifier.entry({ seq, entry: JSON.stringify(line.entry), hash: line.hash })
    if (line.head !== undefined) verifier.headOf(seq, line.head)
    end = line.export
  }
  const { chain, head } = followed.at(-1) ?? { chain: '?', head: { seq: 0 } }
  if (end === undefined) throw new AuditBroken(chain, head.seq + 1, END_IS_MISSING)
  const statement = openStatement(end, keys) as ExportStatement | undefined
  if (statement === undefined || !Array.isArray(statement.export)) {
    throw new AuditBroken(chain, head.seq, 'the statement about the whole was changed, or signed by another key')
  }
  return { chains: compare(followed, statement), key: statement.key }
}

/**
 * The keys that an export brings. They tell of every change by whoever does not sign; whoever writes an export of his own signs it with a
 * key of his own, and brings that.
 *
 * @throws AuditBroken where the end of the export is not there
 */
export async function keysOfExport(lines: AsyncIterable<string> | Iterable<string>): Promise<AuditKeys> {
  let last = ''
  let number = 0
  for await (const text of lines) [last, number] = [text, number + 1]
  const { entry, export: end } = number === 0 ? {} : parseLine(last, number)
  try {
    const { keys } = JSON.parse(end?.statement ?? '') as ExportStatement
    return await auditKeysOf(keys)
  } catch {
    const [chain, seq] = entry === undefined ? ['?', 0] : [chainOf({ entry }), seqOf({ entry })]
    throw new AuditBroken(chain, seq + 1, END_IS_MISSING)
  }
}

const END_IS_MISSING = 'it is missing, or the end of the export: the end was cut off'

/** @throws AuditBroken where what was followed is not all that the statement says, or more */
function compare(followed: readonly ChainVerifier[], { export: ends, broken }: ExportStatement): VerifiedChain[] {
  const chains = ends.map(({ chain, seq: endSeq, hash: endHash }, place) => {
    const verifier = followed[place]
    if (verifier?.chain !== chain) throw new AuditBroken(chain, 1, 'it is missing, and so is the rest of its chain')
    const { seq, hash } = verifier.head
    if (seq < endSeq) verifier.beyond(endSeq)
    if (seq !== endSeq || hash !== endHash) throw new AuditBroken(chain, seq, 'the export says that it ends elsewhere')
    return { chain, entries: seq, signed: seq }
  })
  const more = followed[ends.length]
  if (more !== undefined) throw new AuditBroken(more.chain, 1, 'it does not belong to the export, or not there')
  const [first] = broken ?? []
  if (first !== undefined) throw new AuditBroken(first.chain, first.seq, `when it was exported, ${first.what}`)
  return chains
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
      [value.head, value.export].every((signed) => signed === undefined || isSigned(signed)) &&
      `${JSON.stringify(value)}\n` === line
    ) {
      return value as ExportLine
    }
  } catch {
    // told below, with the number
  }
  throw new AuditBroken('?', number, `line ${number} is not as the export wrote it`)
}

function isSigned(value: object | null): boolean {
  return value !== null && Object.keys(value).join() === 'statement,signature'
}

function seqOf({ entry }: Pick<ExportLine, 'entry'>): number {
  return typeof entry.seq === 'number' ? entry.seq : 0
}

function chainOf({ entry }: Pick<ExportLine, 'entry'>): string {
  return typeof entry.chain === 'string' ? entry.chain : '?'
}
