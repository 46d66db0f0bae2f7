import { Counter, Gauge, type Registry } from 'prom-client'
import type { AuditLog, AuditStats } from '../audit/audit-log.js'

/** Adds the figures of an audit, read when they are asked for. */
export function observeAudit(registry: Registry, log: Pick<AuditLog, 'stats'>): void {
  const gauge = (name: string, help: string, read: (stats: AuditStats) => number) =>
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(read(log.stats()))
      },
    })
  const counter = (name: string, help: string, read: (stats: AuditStats) => number) =>
    new Counter({
      name,
      help,
      registers: [registry],
      collect() {
        this.reset()
        this.inc(read(log.stats()))
      },
    })
  gauge('ssm_audit_queued_entries', 'Audit entries that wait to be written.', ({ queued }) => queued)
  gauge('ssm_audit_unsigned_entries', 'Audit entries after the last signed head.', ({ unsigned }) => unsigned)
  gauge('ssm_audit_writable', 'Whether the audit can be written: 1, else 0.', ({ writable }) => (writable ? 1 : 0))
  counter('ssm_audit_entries_total', 'Audit entries written.', ({ written }) => written)
  counter(
    'ssm_audit_lost_entries_total',
    'Audit entries that found no room while it could not be written.',
    (stats) => stats.lost,
  )
  counter('ssm_audit_failures_total', 'Failures to write the audit or to sign its head.', ({ failures }) => failures)
}
