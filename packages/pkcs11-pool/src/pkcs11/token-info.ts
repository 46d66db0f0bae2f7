import {
  flagNames,
  MECHANISM_FLAGS,
  type MechanismFlagName,
  SLOT_FLAGS,
  type SlotFlagName,
  TOKEN_FLAGS,
  type TokenFlagName,
} from './flags.js'
import type { MechanismName } from './mechanism-types.js'
import { mechanismName } from './mechanisms.js'
import type { NativeModuleInfo, NativeSlotInfo, NativeTokenInfo } from './protocol.js'

export { selectSlot, type TokenSelector } from './select-slot.js'

/** A PKCS#11 library and what it gives access to. Versions are `major.minor` as the standard writes them, such as `2.40`. */
export interface ModuleInspection {
  /** the version of PKCS#11 that the library says it implements */
  cryptokiVersion: string
  manufacturer: string
  description: string
  libraryVersion: string
  /** the version of the function list in use: 2.x, or 3.x where the library has one */
  interfaceVersion: string
  slots: SlotInspection[]
}

/** A slot: where a token can be. */
export interface SlotInspection {
  slotId: number
  description: string
  manufacturer: string
  flags: SlotFlagName[]
  /** undefined where the slot is empty, or its token does not answer */
  token: TokenInspection | undefined
  mechanisms: MechanismInspection[]
}

/** A token. What it does not tell is undefined. */
export interface TokenInspection {
  label: string
  serial: string
  model: string
  manufacturer: string
  flags: TokenFlagName[]
  /** sessions this process has open */
  sessionCount: number | undefined
  /** sessions this process may have open; Infinity where the token sets no limit */
  maxSessionCount: number | undefined
  rwSessionCount: number | undefined
  maxRwSessionCount: number | undefined
  minPinLength: number
  maxPinLength: number
  /** bytes, as are the three that follow */
  totalPublicMemory: number | undefined
  freePublicMemory: number | undefined
  totalPrivateMemory: number | undefined
  freePrivateMemory: number | undefined
  hardwareVersion: string
  firmwareVersion: string
}

/** What a token can do with one mechanism. */
export interface MechanismInspection {
  /** its name in the standard, or `CKM_0x…` */
  name: MechanismName | `CKM_0x${string}`
  type: number
  /** in bits or bytes: the standard leaves it to the mechanism */
  minKeySize: number
  maxKeySize: number
  flags: MechanismFlagName[]
}

/** Turns what the engine tells of a module into names and plain values. */
export function describeModule(info: NativeModuleInfo): ModuleInspection {
  return {
    cryptokiVersion: version(info.cryptokiVersion),
    manufacturer: info.manufacturerID,
    description: info.libraryDescription,
    libraryVersion: version(info.libraryVersion),
    interfaceVersion: version(info.interfaceVersion),
    slots: info.slots.map(describeSlot),
  }
}

function describeSlot(slot: NativeSlotInfo): SlotInspection {
  return {
    slotId: slot.slotID,
    description: slot.slotDescription,
    manufacturer: slot.manufacturerID,
    flags: flagNames(slot.flags, SLOT_FLAGS),
    token: slot.token === null ? undefined : describeToken(slot.token),
    mechanisms: slot.mechanisms.map(describeMechanism),
  }
}

/** Turns what the engine tells of a token into names and plain values. */
export function describeToken(token: NativeTokenInfo): TokenInspection {
  return {
    label: token.label,
    serial: token.serialNumber,
    model: token.model,
    manufacturer: token.manufacturerID,
    flags: flagNames(token.flags, TOKEN_FLAGS),
    sessionCount: told(token.sessionCount),
    maxSessionCount: limit(token.maxSessionCount),
    rwSessionCount: told(token.rwSessionCount),
    maxRwSessionCount: limit(token.maxRwSessionCount),
    minPinLength: token.minPinLen,
    maxPinLength: token.maxPinLen,
    totalPublicMemory: told(token.totalPublicMemory),
    freePublicMemory: told(token.freePublicMemory),
    totalPrivateMemory: told(token.totalPrivateMemory),
    freePrivateMemory: told(token.freePrivateMemory),
    hardwareVersion: version(token.hardwareVersion),
    firmwareVersion: version(token.firmwareVersion),
  }
}

function describeMechanism([type, minKeySize, maxKeySize, flags]: readonly [
  number,
  number,
  number,
  number,
]): MechanismInspection {
  return { name: mechanismName(type), type, minKeySize, maxKeySize, flags: flagNames(flags, MECHANISM_FLAGS) }
}

function version([major, minor]: readonly [number, number]): string {
  return `${major}.${minor}`
}

/** CK_UNAVAILABLE_INFORMATION comes as -1. */
function told(count: number): number | undefined {
  return count < 0 ? undefined : count
}

/** CK_EFFECTIVELY_INFINITE is 0. */
function limit(count: number): number | undefined {
  return count === 0 ? Number.POSITIVE_INFINITY : told(count)
}
