/** What happened, before it has a place in a chain. Never plaintext, ciphertext, a password or a token. */
export interface AuditEvent {
  /** RFC 3339 */
  time: string
  /** service id; `cli:USER` where it was done on the command line; null where nobody was let in */
  account: string | null
  /** the route's action, `NONE` where no route was found, or an event of the service's own, such as `INIT`, `SERVICE_START`, `SERVICE_STOP`, `LOST`, `REFUSED`, `ACCOUNT_ADD`, `SIGNING_KEY_ADD` */
  action: string
  keyLabel: string | null
  keyId: number | null
  address: string | null
  /** HTTP status */
  status: number | null
  requestId: string | null
  /** microseconds */
  durationUs: number | null
  /** the problem's code */
  error: string | null
  /** of the service's own events: how many entries were not signed, or lost, or requests refused that have none; of a batch, how many operations */
  count: number | null
  /** the account that was changed, or the name that a failed login was for */
  subject?: string | undefined
}

/** An event of the service's own. */
export function serviceEvent(action: string, time: Date, count: number | null = null): AuditEvent {
  return {
    time: time.toISOString(),
    account: null,
    action,
    keyLabel: null,
    keyId: null,
    address: null,
    status: null,
    requestId: null,
    durationUs: null,
    error: null,
    count,
  }
}

/** An entry as it is kept, hashed and exported: one text, always in this order. */
export function entryText(chain: string, seq: number, event: AuditEvent): string {
  return JSON.stringify({
    chain,
    seq,
    time: event.time,
    account: event.account,
    action: event.action,
    key_label: event.keyLabel,
    key_id: event.keyId,
    address: event.address,
    status: event.status,
    request_id: event.requestId,
    duration_us: event.durationUs,
    error: event.error,
    count: event.count,
    ...(event.subject !== undefined && { subject: event.subject }),
  })
}
