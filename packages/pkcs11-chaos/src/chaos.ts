import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { type ChaosControl, controlChaos } from './control.js'
import { ChaosError } from './errors.js'
import { chaosModule } from './module-file.js'
import { didYouMean } from './nearest.js'

export interface ChaosOptions {
  /** The path of the real PKCS#11 module. */
  module: string
  /**
   * Where the module's copy, the rules and the processes' sockets are kept; made with mode 0700 where it does not exist.
   *
   * @defaultValue a temporary one, which `close` removes
   */
  directory?: string | undefined
}

/** A PKCS#11 module that stands before another one and misbehaves when told to, and the control of it. */
export interface Chaos extends ChaosControl, AsyncDisposable {
  /** The path to load instead of the real module. It needs nothing in the environment. */
  readonly modulePath: string
  /** For a program that has another path to load fixed: the environment that makes the package's own module the same as this one. */
  readonly env: { PKCS11_CHAOS_MODULE: string; PKCS11_CHAOS_CONTROL: string }
  /** Removes all rules, so that no call is held any more, and what it has made on disk. Idempotent. */
  close(): Promise<void>
}

/**
 * Puts the fault proxy before a PKCS#11 module. Any number of programs may load `modulePath`, this one too; all of them obey, and each
 * call of `createChaos` makes a module of its own.
 *
 * The methods are asynchronous, and calls that hang are no obstacle to them. Only, a program that calls PKCS#11 synchronously on its
 * main thread cannot release a call that it hangs in itself.
 *
 * @throws INVALID_OPTION, NOT_BUILT
 * @example
 * ```ts
 * await using chaos = createChaos({ module: '/usr/lib/softhsm/libsofthsm2.so' })
 * await chaos.rules.add({ on: 'C_Sign', fail: 'CKR_DEVICE_ERROR', times: 1 })
 * // … a program that loads chaos.modulePath …
 * console.log(await chaos.counters(), await chaos.misuse())
 * ```
 */
export function createChaos(options: ChaosOptions): Chaos {
  const known = ['module', 'directory']
  for (const name of Object.keys(options)) {
    if (!known.includes(name)) {
      throw new ChaosError('INVALID_OPTION', `got option '${name}', which is none${didYouMean(name, known)}`)
    }
  }
  const module = resolve(options.module)
  if (!existsSync(module)) {
    throw new ChaosError(
      'INVALID_OPTION',
      `got module ${module}, which does not exist: expected the path of a PKCS#11 module`,
    )
  }
  const built = chaosModule()
  const temporary = options.directory === undefined
  const directory =
    options.directory === undefined ? mkdtempSync(join(tmpdir(), 'pkcs11-chaos-')) : resolve(options.directory)
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const env = { PKCS11_CHAOS_MODULE: module, PKCS11_CHAOS_CONTROL: directory }
  const modulePath = join(directory, 'pkcs11-chaos.so')
  // a copy, because a process loads one file once, and with settings beside it, because its environment may be another's
  copyFileSync(built, modulePath)
  writeFileSync(
    `${modulePath}.conf`,
    Object.entries(env)
      .map(([name, value]) => `${name}=${value}\n`)
      .join(''),
    { mode: 0o600 },
  )

  const control = controlChaos(directory)
  let closing: Promise<void> | undefined
  const close = () => {
    closing ??= control.rules.clear().finally(() => {
      if (temporary) rmSync(directory, { recursive: true, force: true })
    })
    return closing
  }
  return { ...control, modulePath, env, close, [Symbol.asyncDispose]: close }
}
