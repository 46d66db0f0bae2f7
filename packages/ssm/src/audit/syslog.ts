import { hostname } from 'node:os'
import type { StoredEntry } from './audit-store.js'

/** Facility 13, the audit's own, with severity informational; with warning where a request was refused or failed (RFC 5424, section 6.2.1). */
const INFORMATIONAL = 13 * 8 + 6
const WARNING = 13 * 8 + 4

/** An entry as a line of JSON, as an export has it. */
export function jsonLine({ entry, hash }: StoredEntry): string {
  return `{"entry":${entry},"hash":${JSON.stringify(hash)}}\n`
}

/** An entry as a syslog message (RFC 5424): its action is the MSGID, its JSON the text. */
export function syslogMessage(stored: StoredEntry): string {
  const { time, action, error } = JSON.parse(stored.entry) as { time?: unknown; action?: unknown; error?: unknown }
  const priority = typeof error === 'string' ? WARNING : INFORMATIONAL
  const header = [
    `<${priority}>1`,
    typeof time === 'string' ? time : '-',
    field(hostname(), 255),
    'ssm',
    process.pid,
    field(String(action), 32),
    // no structured data
    '-',
  ]
  return `${header.join(' ')} ${jsonLine(stored).trimEnd()}`
}

/** What stands in a header: printable ASCII without spaces. */
function field(value: string, length: number): string {
  return value.replace(/[^\x21-\x7e]/g, '?').slice(0, length) || '-'
}
