/** The tables, as the query layer types them. Times are RFC 3339 in UTC. */
export interface Tables {
  accounts: AccountRow
  signing_keys: SigningKeyRow
  audit_entries: AuditEntryRow
  audit_heads: AuditHeadRow
  audit_chains: { chain: string; touched_at: string }
  replicas: ReplicaRow
  key_destructions: { label: string; key_id: number; times: number }
}

/** Who may log in. */
export interface AccountRow {
  service_id: string
  role: string
  password_hash: string
  /** counts up with each new password: tokens of an older one are refused */
  credential_version: number
  disabled_at: string | null
  created_at: string
  changed_at: string
}

/** When a key that signs tokens was made; the key is on the HSM. */
export interface SigningKeyRow {
  key_id: number
  created_at: string
}

/** An entry of the audit: its text is what is hashed. */
export interface AuditEntryRow {
  chain: string
  seq: number
  entry: string
  hash: string
}

/** What the HSM signed about an entry. */
export interface AuditHeadRow {
  chain: string
  seq: number
  statement: string
  signature: string
}

/** A process that serves on this database. */
export interface ReplicaRow {
  instance: string
  /** another with each time that it began to follow the others */
  replica: string
  /** milliseconds since 1970 by the database's clock */
  renewed_at: number
}
