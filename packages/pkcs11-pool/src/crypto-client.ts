import type { BatchItem, BatchResult } from './batch.js'
import type { CryptoOperations } from './crypto-operations.js'
import type { Mechanism } from './pkcs11/mechanisms.js'
import type { Template } from './pkcs11/templates.js'
import type { CloseOptions, PoolStats } from './pool/index.js'
import type { HealthReport } from './resilience/health-record.js'
import type { OperationOptions } from './session/call-context.js'
import type { Key, KeyReference } from './session/key-reference.js'
import type { Session } from './session/session.js'

/** A key without its handle, which is one token's alone. */
export type KeyInfo = Omit<Key, 'handle'>

/** The keys of a client or of a group. */
export interface CryptoKeys {
  /** All keys that match. */
  find(filter?: KeyReference, options?: OperationOptions): Promise<KeyInfo[]>
  /** The one key that a reference means. @throws KEY_NOT_FOUND, KEY_AMBIGUOUS */
  get(reference: KeyReference, options?: OperationOptions): Promise<KeyInfo>
  /** @throws GROUP_CANNOT_GENERATE from a group of more than one token */
  generate(mechanism: Mechanism, template: Template, options?: OperationOptions): Promise<KeyInfo>
  /** @throws GROUP_CANNOT_GENERATE from a group of more than one token */
  generatePair(
    mechanism: Mechanism,
    publicTemplate: Template,
    privateTemplate: Template,
    options?: OperationOptions,
  ): Promise<{ publicKey: KeyInfo; privateKey: KeyInfo }>
  import(template: Template, options?: OperationOptions): Promise<KeyInfo>
  update(reference: KeyReference, template: Template, options?: OperationOptions): Promise<void>
  destroy(reference: KeyReference, options?: OperationOptions): Promise<void>
  wrap(mechanism: Mechanism, wrappingKey: KeyReference, key: KeyReference, options?: OperationOptions): Promise<Buffer>
  unwrap(
    mechanism: Mechanism,
    unwrappingKey: KeyReference,
    wrapped: Uint8Array,
    template: Template,
    options?: OperationOptions,
  ): Promise<KeyInfo>
  derive(mechanism: Mechanism, baseKey: KeyReference, template: Template, options?: OperationOptions): Promise<KeyInfo>
  /** Forgets cached handles: for when another process has changed keys. */
  forget(reference?: KeyReference): void
}

/** What a client of one token and a group of several have in common: code that uses keys can take either. */
export interface CryptoClient extends CryptoOperations {
  readonly keys: CryptoKeys
  batch(items: readonly BatchItem[], options?: OperationOptions): Promise<BatchResult[]>
  withSession<R>(fn: (session: Session) => R | Promise<R>, options?: OperationOptions): Promise<R>
  acquire(options?: OperationOptions): Promise<Session>
  stats(): Pick<PoolStats, 'maxSize' | 'currentSize' | 'available' | 'inUse' | 'waiting'>
  health(): Pick<HealthReport, 'state'>
  metrics(): string
  close(options?: CloseOptions): Promise<{ abandoned: number }>
}
