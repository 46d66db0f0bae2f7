import { Pkcs11PoolError } from './errors.js'
import { Engine } from './pkcs11/engine.js'
import { INITIALIZE_ARGS, isInitializeArgs } from './pkcs11/initialize-args.js'
import { type NativeModuleInfo, Operation } from './pkcs11/protocol.js'
import { describeModule, type ModuleInspection } from './pkcs11/token-info.js'
import { checkOptions } from './session/call-context.js'
import { unload } from './session/token.js'

/**
 * What a PKCS#11 library offers: its slots, tokens and mechanisms. Nobody logs in.
 *
 * @param path - the library's file
 * @param options - `initializeArgs`: a string for C_Initialize, as for `createClient`. `timeoutMs`: milliseconds that bound each step
 * @throws MODULE_LOAD_FAILED, INVALID_ARGUMENT, OPERATION_TIMEOUT (after `timeoutMs`, 10 s unless given), CRYPTOKI
 * @example
 * ```ts
 * const { slots } = await inspectModule('/usr/lib/softhsm/libsofthsm2.so')
 * for (const { slotId, token } of slots) console.log(slotId, token?.label)
 * ```
 */
export async function inspectModule(
  path: string,
  options: { initializeArgs?: string | undefined; timeoutMs?: number } = {},
): Promise<ModuleInspection> {
  checkOptions(options, ['initializeArgs', 'timeoutMs'])
  const { initializeArgs, timeoutMs = 10_000 } = options
  if (initializeArgs !== undefined && !isInitializeArgs(initializeArgs)) {
    throw new Pkcs11PoolError('INVALID_ARGUMENT', `initializeArgs is no ${INITIALIZE_ARGS}`)
  }
  const engine = new Engine()
  try {
    await engine.run(Operation.LOAD, undefined, { timeoutMs, about: () => path }, path, initializeArgs)
    return describeModule((await engine.run(Operation.INSPECT, undefined, { timeoutMs })) as NativeModuleInfo)
  } finally {
    await unload(engine, timeoutMs)
  }
}
