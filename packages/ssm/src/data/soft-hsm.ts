import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { promisify } from 'node:util'
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

/** Makes a SoftHSM token in a data folder, with random PINs in files that only their owner can read. */
export async function createSoftHsmToken(folder: DataFolder, label: string): Promise<void> {
  mkdirSync(folder.softHsmTokens, { mode: 0o700 })
  useSoftHsmOf(folder)
  const pin = randomBytes(18).toString('hex')
  const soPin = randomBytes(18).toString('hex')
  writeFileSync(folder.pin, pin, { mode: 0o600, flag: 'wx' })
  writeFileSync(folder.soPin, soPin, { mode: 0o600, flag: 'wx' })
  // the tool takes PINs from its command line only; whoever can see them there cannot enter the folder with the token
  const args = ['--init-token', '--free', '--label', label, '--pin', pin, '--so-pin', soPin]
  // its error holds the command with the PINs, so only the code is kept
  const failure = await promisify(execFile)('softhsm2-util', args).then(
    () => undefined,
    (error: { code?: unknown }) => String(error.code),
  )
  if (failure === undefined) return
  const next =
    failure === 'ENOENT' ? 'install softhsm2, which holds the tool' : 'look whether the folder can be written'
  throw new Error(`softhsm2-util could not make the token (${failure}): ${next}`)
}
