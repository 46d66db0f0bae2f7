import type { SoftHsmToken } from 'testkit'
import { binding } from '../../src/pkcs11/binding.js'
import { Engine, EngineSession } from '../../src/pkcs11/engine.js'
import { SESSION_FLAGS } from '../../src/pkcs11/flags.js'
import { packMechanism } from '../../src/pkcs11/mechanisms.js'
import { Operation } from '../../src/pkcs11/protocol.js'
import { packTemplate } from '../../src/pkcs11/templates.js'

/** Longer than any test lasts: a call that is bounded so is in truth not. */
export const FOREVER = { timeoutMs: 600_000 } as const
export const USER = 1
export const BLOCK = Buffer.alloc(16)
export const CBC_PAD = packMechanism({ mechanism: 'CKM_AES_CBC_PAD', iv: BLOCK })

/** An engine with a module loaded, and its calls by name; nothing else stands between the tests and it. */
export class EngineOnToken {
  readonly engine = new Engine()

  constructor(
    readonly token: SoftHsmToken,
    readonly module: string,
  ) {}

  load(call: Call = FOREVER) {
    return this.engine.run(Operation.LOAD, undefined, call, this.module)
  }

  unload(call: Call = FOREVER) {
    return this.engine.run(Operation.UNLOAD, undefined, call)
  }

  async open(call: Call = FOREVER): Promise<EngineSession> {
    const flags = SESSION_FLAGS.CKF_SERIAL_SESSION | SESSION_FLAGS.CKF_RW_SESSION
    return new EngineSession(
      (await this.engine.run(Operation.OPEN_SESSION, undefined, call, this.token.slot, flags)) as number,
    )
  }

  close(session: EngineSession, call: Call = FOREVER) {
    return this.engine.run(Operation.CLOSE_SESSION, session, call)
  }

  login(session: EngineSession, call: Call = FOREVER) {
    return this.engine.run(Operation.LOGIN, session, call, USER, new binding.Pin({ value: this.token.pin }))
  }

  find(session: EngineSession, label: string, call: Call = FOREVER) {
    return this.engine.run(Operation.FIND, session, call, packTemplate({ CKA_LABEL: label }), 2, null)
  }

  encrypt(session: EngineSession, key: number, call: Call = FOREVER, data: Uint8Array = BLOCK) {
    return this.engine.run(Operation.ENCRYPT, session, call, CBC_PAD, key, data) as Promise<Buffer>
  }

  /** A session that is logged in, and the handle of a key. */
  async ready(label: string): Promise<{ session: EngineSession; key: number }> {
    const session = await this.open()
    await this.login(session)
    const [key] = (await this.find(session, label)) as [number]
    return { session, key }
  }
}

type Call = Parameters<Engine['run']>[2]

/** One turn of the event loop after another until it is so; the test's own timeout bounds it. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(setImmediate)
}
