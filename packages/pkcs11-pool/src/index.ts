/**
 * A PKCS#11 session pool for Node.js: an HSM used without ever blocking the event loop.
 *
 * @packageDocumentation
 */
export type { BatchItem, BatchResult } from './batch.js'
export { type Client, type ClientStats, createClient } from './client.js'
export type { ClientEventName, ClientEvents, ClientListener } from './client-events.js'
export type { Health } from './client-health.js'
export type { ClientOptions, ClientPoolOptions } from './client-options.js'
export type { CryptoClient, CryptoKeys, KeyInfo } from './crypto-client.js'
export type { CryptoOperations } from './crypto-operations.js'
export {
  BreakerOpenError,
  CryptokiError,
  ERROR_HELP,
  type ErrorCategory,
  type ErrorCode,
  GroupDivergedError,
  type MemberOutcome,
  Pkcs11PoolError,
} from './errors.js'
export { type ClientGroup, createGroup } from './group/client-group.js'
export type { ConsistencyReport } from './group/consistency.js'
export type { Divergence, KeyDifference, KeyName } from './group/divergence.js'
export type { GroupEventName, GroupEvents, GroupListener } from './group/events.js'
export type { GroupKeys } from './group/group-keys.js'
export type { GroupMemberOptions, GroupOptions } from './group/options.js'
export type { GroupHealth, GroupMemberHealth, GroupStats } from './group/report.js'
export { inspectModule } from './inspect-module.js'
export type { ClientKeys, KeyPair } from './keys/client-keys.js'
export type { HandleCacheOptions } from './keys/handle-cache.js'
export type {
  AesCcmMechanism,
  AesGcmMechanism,
  AesKeyWrapMechanism,
  CbcDataMechanism,
  ConcatenateKeyMechanism,
  CounterMechanism,
  DhDeriveMechanism,
  EcdhMechanism,
  ExtractKeyMechanism,
  IvMechanism,
  MacLengthMechanism,
  Mechanism,
  MechanismByName,
  ParameterMechanism,
  PlainMechanism,
  PlainMechanismName,
  RsaOaepMechanism,
  RsaPssDigestMechanism,
  RsaPssMechanism,
  StringDataMechanism,
  VendorMechanism,
} from './pkcs11/mechanisms.js'
export type { AttributeName, AttributeValues, Template } from './pkcs11/templates.js'
export type {
  MechanismInspection,
  ModuleInspection,
  SlotInspection,
  TokenInspection,
  TokenSelector,
} from './pkcs11/token-info.js'
export {
  type AcquireOptions,
  type Clock,
  type CloseOptions,
  createPool,
  type DestroyReason,
  type Entry,
  type Lease,
  type Pool,
  type PoolEventName,
  type PoolEvents,
  type PoolFactory,
  type PoolListener,
  type PoolOptions,
  type PoolSizes,
  type PoolStats,
  type Timer,
} from './pool/index.js'
export type { BreakerOptions, BreakerReport, BreakerState } from './resilience/breaker.js'
export type { HealthReport } from './resilience/health-record.js'
export type { HealthOptions } from './resilience/options.js'
export type { RetryOptions } from './resilience/retries.js'
export type { HandleLike, ObjectHandle } from './session/arguments.js'
export type { OperationOptions } from './session/call-context.js'
export type { AeadOptions, Sealed } from './session/encrypt-decrypt.js'
export type { Key, KeyClass, KeyReference } from './session/key-reference.js'
export type { KeyPairHandles } from './session/keys.js'
export type { PinFlag } from './session/pin-flags.js'
export type { Session, SessionInfo } from './session/session.js'
export type { PinSource } from './session/token.js'
export type { TokenSessions } from './session-limit.js'
