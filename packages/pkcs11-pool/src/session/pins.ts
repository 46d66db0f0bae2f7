import { Pkcs11PoolError } from '../errors.js'
import type { NativePin } from '../pkcs11/protocol.js'
import { Credentials } from './credentials.js'

/**
 * The PINs of one client: the one in use, and of those before it the ones that must not be forgotten, because the token has called them
 * wrong or has not answered them yet. However often a PIN is given, it is here once, and so rejected once at most.
 */
export class Pins {
  #current: Credentials
  readonly #former = new Set<Credentials>()
  #closed = false

  constructor(pin: NativePin | undefined) {
    this.#current = this.#made(pin)
  }

  get current(): Credentials {
    return this.#current
  }

  /** @throws CREDENTIALS_REJECTED; OPERATION_TIMEOUT while a call with any of them has not returned */
  checkSendable(): void {
    if (this.#current.rejection !== undefined) throw this.#current.rejection
    if ([this.#current, ...this.#former].some(({ unanswered }) => unanswered)) {
      throw new Pkcs11PoolError(
        'OPERATION_TIMEOUT',
        'an earlier C_Login has not returned from the module; no second one is sent beside it, so that a wrong PIN fails once only',
      )
    }
  }

  /**
   * Uses another one from now on, and wipes what is not needed any more.
   *
   * @throws CREDENTIALS_REJECTED where the token has called it wrong before; POOL_CLOSED
   */
  replace(pin: NativePin): void {
    if (this.#closed) throw new Pkcs11PoolError('POOL_CLOSED', 'the PIN was not taken: the client is closed')
    const before = this.#current
    const known = [before, ...this.#former].find((each) => each.is(pin))
    if (known?.wrong === true) {
      throw new Pkcs11PoolError(
        'CREDENTIALS_REJECTED',
        'the new PIN is one that the token has rejected, so it is not sent; give the right one with setCredentials, or make a new client ' +
          "if the token's PIN was changed to it since",
      )
    }
    if (known !== undefined) {
      known.forgive()
      pin.wipe()
    }
    this.#current = known ?? this.#made(pin)
    this.#former.add(before)
    this.#former.delete(this.#current)
    this.#forget()
  }

  /** Wipes all of them, for good. */
  wipe(): void {
    this.#closed = true
    for (const { pin } of [this.#current, ...this.#former]) pin?.wipe()
  }

  #made(pin: NativePin | undefined): Credentials {
    return new Credentials(pin, () => this.#forget())
  }

  #forget(): void {
    for (const each of this.#former) {
      if (each.wrong || each.unanswered) continue
      this.#former.delete(each)
      each.pin?.wipe()
    }
  }
}
