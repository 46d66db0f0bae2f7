import { Engine } from './pkcs11/engine.js'
import { type NativeModuleInfo, Operation } from './pkcs11/protocol.js'
import { describeModule, type ModuleInspection } from './pkcs11/token-info.js'
import { checkOptions } from './session/call-context.js'
import { unload } from './session/token.js'

/**
 * What a PKCS#11 library offers: its slots, tokens and mechanisms. Nobody logs in.
 *
 * @param path - the library's file
 * @throws MODULE_LOAD_FAILED, OPERATION_TIMEOUT (each step is bounded by `timeoutMs`, 10 s unless given), CRYPTOKI
 * @example
 * ```ts
 * const { slots } = await inspectModule('/usr/lib/softhsm/libsofthsm2.so')
 * for (const { slotId, token } of slots) console.log(slotId, token?.label)
 * ```
 */
export async function inspectModule(path: string, options: { timeoutMs?: number } = {}): Promise<ModuleInspection> {
  checkOptions(options, ['timeoutMs'])
  const { timeoutMs = 10_000 } = options
  const engine = new Engine()
  try {
    await engine.run(Operation.LOAD, undefined, { timeoutMs, about: () => path }, path)
    return describeModule((await engine.run(Operation.INSPECT, undefined, { timeoutMs })) as NativeModuleInfo)
  } finally {
    await unload(engine, timeoutMs)
  }
}
