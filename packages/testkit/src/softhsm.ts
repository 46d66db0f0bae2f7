import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { CreatedToken, TokenRequest } from './softhsm-worker.js'

/** Keys to make on a token: one, or `count` of them whose ids count up from `id`. */
export interface KeySpec {
  /** CKA_LABEL. With `numbered`, the key's id is appended: `key-1`, `key-2`, … */
  label: string
  /** CKA_ID as 4 bytes, big-endian. @defaultValue 1 */
  id?: number
  /** `aes-*` and `des3` are secret keys, `ec-p256` and `rsa-2048` pairs. @defaultValue 'aes-256' */
  type?: 'aes-128' | 'aes-256' | 'des3' | 'ec-p256' | 'rsa-2048'
  /** @defaultValue 1 */
  count?: number
  /** @defaultValue false */
  numbered?: boolean
}

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

export interface SoftHsmToken {
  /** the path of the PKCS#11 module */
  module: string
  label: string
  serial: string
  /** the slot's id, which SoftHSM derives from the serial number */
  slot: number
  /** empty where the user PIN was left uninitialised */
  pin: string
  soPin: string
  /** a file of mode 0600 that holds the user PIN and nothing else */
  pinFile: string
  /** the SoftHSM directory, shared by the tokens of one {@link SoftHsm} */
  directory: string
  /** what another process needs in its environment to see the token */
  env: { SOFTHSM2_CONF: string }
  /** makes keys on the token from a process of its own, so that the caller's module sees them as another application's */
  createKeys(keys: KeySpec[]): void
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
    throw new Error(
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
  const ask = (request: TokenRequest): CreatedToken => {
    const answer = execFileSync(
      process.execPath,
      [fileURLToPath(new URL('../dist/softhsm-worker.js', import.meta.url))],
      {
        input: JSON.stringify(request),
        env: { ...process.env, ...env },
        encoding: 'utf8',
        stdio: ['pipe', 'pipe', 'inherit'],
      },
    )
    // the other side of this pipe is `softhsm-worker.ts`, which writes exactly one such object
    return JSON.parse(answer) as CreatedToken
  }
  const remove = () => rmSync(directory, { recursive: true, force: true })

  return {
    module,
    directory,
    env,
    createToken(options = {}) {
      const { label = 'test', pin = secret(), soPin = secret(), keys = [] } = options
      const { serial, slot } = ask({ module, create: { label, pin, soPin }, serial: null, pin, keys })
      const pinFile = join(directory, `${serial}.pin`)
      writeFileSync(pinFile, pin ?? '', { mode: 0o600 })
      return {
        module,
        label,
        serial,
        slot,
        pin: pin ?? '',
        soPin,
        pinFile,
        directory,
        env,
        createKeys: (more) => void ask({ module, create: null, serial, pin, keys: more }),
        remove,
      }
    },
    uninitializedSlot: () => ask({ module, create: null, serial: null, pin: null, keys: [] }).slot,
    remove,
  }
}

/** Makes a SoftHSM directory with one token in it. */
export function createSoftHsmToken(options?: TokenOptions): SoftHsmToken {
  return createSoftHsm().createToken(options)
}

function secret(): string {
  return randomBytes(9).toString('base64url')
}
