import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { ConfigError } from '../config/config-error.js'
import type { DataFolder } from './data-folder.js'

const PATHS = [
  '/usr/lib/softhsm/libsofthsm2.so',
  '/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so',
  '/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so',
  '/usr/lib64/pkcs11/libsofthsm2.so',
  '/usr/lib64/softhsm/libsofthsm2.so',
  '/usr/local/lib/softhsm/libsofthsm2.so',
]

/** The module of the SoftHSM that is installed. @throws ConfigError where there is none */
export function findSoftHsm(): string {
  const found = PATHS.find((path) => existsSync(path))
  if (found !== undefined) return found
  throw new ConfigError(
    'SSM_PKCS_PATH',
    'nothing, and no SoftHSM is installed',
    'SoftHSM (on Debian: apt-get install softhsm2), or the settings of another token: --pkcs-path, --token-label, --pin-file',
  )
}

/**
 * Points this process, and those it starts, to the tokens in a data folder, where there are any. It has to be done before the module is
 * loaded. The folder may have been moved, so the file that names its path is written anew.
 */
export function useSoftHsmOf(folder: DataFolder): void {
  if (!existsSync(folder.softHsmTokens)) return
  const text = `directories.tokendir = ${folder.softHsmTokens}\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n`
  if (!existsSync(folder.softHsmConfiguration) || readFileSync(folder.softHsmConfiguration, 'utf8') !== text) {
    const fresh = `${folder.softHsmConfiguration}.${process.pid}`
    writeFileSync(fresh, text, { mode: 0o600 })
    renameSync(fresh, folder.softHsmConfiguration)
  }
  process.env.SOFTHSM2_CONF = folder.softHsmConfiguration
}

/** Makes a SoftHSM token in a data folder, with random PINs in files that only their owner can read. The label is of letters and digits. */
export async function createSoftHsmToken(folder: DataFolder, label: string): Promise<void> {
  mkdirSync(folder.softHsmTokens, { mode: 0o700 })
  useSoftHsmOf(folder)
  const pin = randomBytes(18).toString('hex')
  const soPin = randomBytes(18).toString('hex')
  writeFileSync(folder.pin, pin, { mode: 0o600, flag: 'wx' })
  writeFileSync(folder.soPin, soPin, { mode: 0o600, flag: 'wx' })
  await initialiseToken(label, { SO: soPin, user: pin })
}

const TOOL = 'softhsm2-util --init-token --free'
const TOOL_HELP: Readonly<Record<string, string>> = {
  ENOENT: 'install script, which gives the tool a terminal; it comes with util-linux (on Debian: bsdutils)',
  '127': 'install softhsm2, which holds the tool',
}
/** How long, in milliseconds, the tool may take. */
const TOOL_TIMEOUT_MS = 60_000

/**
 * Has softhsm2-util make a token. It takes PINs from its command line, where every user of the machine can read them, or from a terminal:
 * `script` gives it one of its own, and each PIN is typed there when it is asked for, which is when nothing is echoed.
 */
async function initialiseToken(label: string, pins: Readonly<Record<string, string>>): Promise<void> {
  // util-linux has a shell run the command: the one of a service's user may refuse to
  const tool = spawn('script', ['--quiet', '--return', '--command', `${TOOL} --label ${label}`, '/dev/null'], {
    env: { ...process.env, SHELL: '/bin/sh' },
    stdio: ['pipe', 'pipe', 'ignore'],
  })
  // not the option of the same name: where there is no such program, it would keep this process for as long
  const late = setTimeout(() => tool.kill(), TOOL_TIMEOUT_MS)
  let shown = ''
  tool.stdout.on('data', (chunk) => {
    shown += String(chunk)
    const asked = /Please (?:re)?enter (SO|user) PIN: $/.exec(shown)?.[1]
    if (asked === undefined) return
    shown = ''
    tool.stdin.write(`${pins[asked] ?? ''}\n`)
  })
  // where it ends early, the code tells
  tool.stdin.on('error', () => {})
  const code = await once(tool, 'close').then(
    ([code, signal]) => String(code ?? signal),
    (error: { code?: unknown }) => String(error.code),
  )
  clearTimeout(late)
  if (code === '0') return
  throw new Error(
    `softhsm2-util could not make the token (${code}): ${TOOL_HELP[code] ?? 'look whether the folder can be written'}`,
  )
}
