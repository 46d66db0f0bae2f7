import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { askWorker } from './ask-worker.js'
import { debianVersion } from './debian-package.js'
import { type TestToken, TokenUnavailable } from './test-token.js'
import { secret } from './secret.js'
import type { KeySpec } from './token-worker.js'

export interface TokenOptions {
  /** @defaultValue 'test' */
  label?: string
  /** The user PIN; null leaves it uninitialised. @defaultValue random */
  pin?: string | null
  /** The security officer's PIN. @defaultValue random */
  soPin?: string
  /** @defaultValue none */
  keys?: KeySpec[]
}

export interface SoftHsmToken extends TestToken {
  serial: string
  soPin: string
  /** a file of mode 0600 that holds the user PIN and nothing else */
  pinFile: string
  /** the SoftHSM directory, shared by the tokens of one {@link SoftHsm} */
  directory: string
  env: { SOFTHSM2_CONF: string }
  server: undefined
  /** removes the SoftHSM directory; idempotent */
  remove(): void
}

/** A SoftHSM installation of its own: one configuration, one token directory, any number of tokens. */
export interface SoftHsm {
  module: string
  directory: string
  env: { SOFTHSM2_CONF: string }
  createToken(options?: TokenOptions): SoftHsmToken
  /** the id of the slot that always holds one token not yet initialised; it changes when a token is created */
  uninitializedSlot(): number
  remove(): void
}

const MODULE_PATHS = [
  '/usr/lib/softhsm/libsofthsm2.so',
  '/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so',
  '/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so',
  '/usr/lib64/pkcs11/libsofthsm2.so',
  '/usr/local/lib/softhsm/libsofthsm2.so',
  '/opt/homebrew/lib/softhsm/libsofthsm2.so',
]

/** The path of SoftHSM's module: `SOFTHSM2_MODULE` where it is set, else where packages put it. */
export function findSoftHsm(): string {
  const candidates = process.env.SOFTHSM2_MODULE === undefined ? MODULE_PATHS : [process.env.SOFTHSM2_MODULE]
  const found = candidates.find((path) => existsSync(path))
  if (found === undefined) {
    throw new TokenUnavailable(
      `no SoftHSM module at ${candidates.join(', ')}: install softhsm2, or set SOFTHSM2_MODULE to its path`,
    )
  }
  return found
}

/**
 * Makes a SoftHSM directory (mode 0700) without tokens: a fresh temporary one, or the one given, whose tokens stay. SoftHSM finds it
 * by `SOFTHSM2_CONF`, which has to be in the environment of the process before its module is initialised there: see `env`, and
 * `useSoftHsm` of `testkit/vitest`.
 */
export function createSoftHsm(options: { directory?: string } = {}): SoftHsm {
  const module = findSoftHsm()
  const directory = resolve(options.directory ?? mkdtempSync(join(tmpdir(), 'testkit-softhsm-')))
  const configuration = join(directory, 'softhsm2.conf')
  for (const each of [directory, join(directory, 'tokens')]) {
    mkdirSync(each, { recursive: true, mode: 0o700 })
    chmodSync(each, 0o700)
  }
  writeFileSync(
    configuration,
    `directories.tokendir = ${join(directory, 'tokens')}\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n`,
  )
  const env = { SOFTHSM2_CONF: configuration }
  const remove = () => rmSync(directory, { recursive: true, force: true })

  return {
    module,
    directory,
    env,
    createToken(options = {}) {
      const { label = 'test', pin = secret(), soPin = secret(), keys = [] } = options
      const fresh = { how: 'standard', label, pin, soPin } as const
      const { serial, slot } = askWorker({ module, env }, { token: 'uninitialized', initialize: fresh, pin, keys })
      const pinFile = join(directory, `${serial}.pin`)
      writeFileSync(pinFile, pin ?? '', { mode: 0o600 })
      const token = { module, env, token: { serial } }
      return {
        name: 'SoftHSM',
        module,
        initializeArgs: undefined,
        label,
        serial,
        slot,
        pin: pin ?? '',
        soPin,
        pinFile,
        directory,
        env,
        server: undefined,
        version: () => debianVersion('softhsm2'),
        createKeys: (more) => void askWorker(token, { pin, keys: more }),
        objects: () => askWorker(token, { pin, list: true }).objects,
        remove,
      }
    },
    uninitializedSlot: () => askWorker({ module, env }, { token: 'uninitialized' }).slot,
    remove,
  }
}

/** Makes a SoftHSM directory with one token in it. */
export function createSoftHsmToken(options?: TokenOptions): SoftHsmToken {
  return createSoftHsm().createToken(options)
}
