import { Pkcs11PoolError } from '../errors.js'
import { hasFlag, TOKEN_FLAGS } from './flags.js'
import type { NativeModuleInfo, NativeSlotInfo, NativeTokenInfo } from './protocol.js'

/**
 * Which token: by its label, by its serial number, or by its slot's id. Label and serial number stay with the token; slot ids can
 * change from one start to the next.
 */
export type TokenSelector = { label: string } | { serial: string } | { slot: number | bigint }

/** A slot with a token in it. */
export type OccupiedSlot = NativeSlotInfo & { token: NativeTokenInfo }

/**
 * The slot that holds the token asked for.
 *
 * @throws `TOKEN_NOT_FOUND`, `TOKEN_AMBIGUOUS`: the message lists the tokens there are; `TOKEN_NOT_INITIALIZED`
 */
export function selectSlot(info: Pick<NativeModuleInfo, 'slots'>, selector: TokenSelector): OccupiedSlot {
  const occupied = info.slots.filter(hasToken)
  const matching = occupied.filter((slot) => matches(slot, selector))
  if (matching.length === 0) throw notFound(info.slots, occupied, selector)
  const initialized = matching.filter(isInitialized)
  const [only, ...others] = initialized
  if (only === undefined) {
    throw new Pkcs11PoolError(
      'TOKEN_NOT_INITIALIZED',
      `the token with ${describeSelector(selector)} is not initialised; initialise it, for example with \`softhsm2-util --init-token\``,
    )
  }
  if (others.length > 0) {
    throw new Pkcs11PoolError(
      'TOKEN_AMBIGUOUS',
      `${initialized.length} tokens have ${describeSelector(selector)}, expected one: ${listTokens(initialized)}; select by serial number`,
    )
  }
  return only
}

function hasToken(slot: NativeSlotInfo): slot is OccupiedSlot {
  return slot.token !== null
}

/** A number that is too large for one is a bigint, but a bigint need not be. */
function isSlot({ slotID }: NativeSlotInfo, id: number | bigint): boolean {
  return BigInt(slotID) === BigInt(id)
}

function isInitialized(slot: OccupiedSlot): boolean {
  return hasFlag(slot.token.flags, TOKEN_FLAGS.CKF_TOKEN_INITIALIZED)
}

function matches(slot: OccupiedSlot, selector: TokenSelector): boolean {
  if ('slot' in selector) return isSlot(slot, selector.slot)
  if ('serial' in selector) return slot.token.serialNumber === selector.serial
  return slot.token.label === selector.label
}

function notFound(
  slots: readonly NativeSlotInfo[],
  occupied: readonly OccupiedSlot[],
  selector: TokenSelector,
): Pkcs11PoolError {
  const emptySlot = 'slot' in selector && slots.some((slot) => isSlot(slot, selector.slot))
  const problem = emptySlot ? `slot ${selector.slot} holds no token` : `no token has ${describeSelector(selector)}`
  const there =
    occupied.length === 0
      ? 'the module has no token at all; initialise one, and check the module’s own settings'
      : `there are: ${listTokens(occupied)}`
  return new Pkcs11PoolError('TOKEN_NOT_FOUND', `${problem}; ${there}`)
}

function describeSelector(selector: TokenSelector): string {
  if ('slot' in selector) return `slot ${selector.slot}`
  if ('serial' in selector) return `serial ${JSON.stringify(selector.serial)}`
  return `label ${JSON.stringify(selector.label)}`
}

function listTokens(slots: readonly OccupiedSlot[]): string {
  return slots.map(describeOccupied).join('; ')
}

function describeOccupied(slot: OccupiedSlot): string {
  const { label, serialNumber } = slot.token
  const state = isInitialized(slot) ? '' : ' (not initialised)'
  return `label ${JSON.stringify(label)} serial ${JSON.stringify(serialNumber)} slot ${slot.slotID}${state}`
}
