import type { ClientCore } from '../client-core.js'
import type { OperationTarget } from '../crypto-operations.js'
import { Pkcs11PoolError } from '../errors.js'
import { KeyOperations } from '../key-operations.js'
import { ClientKeys } from '../keys/client-keys.js'
import type { HandleCache } from '../keys/handle-cache.js'
import type { Member } from './member.js'

/**
 * A member for one use of the group's. What failed there is made on the next member, which needs no wait; on the last one it is made again as
 * a client would, so that a group that has one token left is no worse than a client of it.
 */
export class MemberTarget implements OperationTarget {
  readonly core: ClientCore
  readonly operations: KeyOperations
  readonly cache: HandleCache

  constructor(
    readonly member: Member,
    hasNext: () => boolean,
  ) {
    const core = coreOf(member)
    this.core = core
    this.cache = core.cache
    this.operations = new KeyOperations(core, core.cache, {
      next: (error, attempts, leftMs) => (hasNext() ? undefined : core.retries.next(error, attempts, leftMs)),
    })
  }

  get keys(): ClientKeys {
    return new ClientKeys(this.operations, this.cache)
  }
}

/** Of a member that was chosen, and so is connected. */
export function coreOf({ core, name }: Member): ClientCore {
  if (core === undefined) throw new Pkcs11PoolError('INTERNAL', `member ${name} was chosen before it was connected`)
  return core
}
