import { type Stats, statSync } from 'node:fs'
import { join } from 'node:path'
import { ConfigError } from './config-error.js'

const READ_OR_WRITE_BY_OTHERS = 0o006
const ANYTHING_BY_OTHERS = 0o077

/** The file of settings in a data folder, written last when one is made. */
export const SETTINGS_FILE = 'ssm.yaml'

/**
 * Looks at the PIN file without opening it.
 *
 * @throws ConfigError where it is missing, no file, or open to every user of the machine
 */
export function checkPinFile(path: string, setting: string): void {
  const stats = stat(path, setting, 'the path of a file with the PIN')
  if (stats.isDirectory()) throw new ConfigError(setting, `a directory, ${path}`, 'the path of a file with the PIN')
  refuseOpen(stats, path, setting)
}

/** @throws ConfigError where a file that holds a PIN or a password is open to every user of the machine */
export function refuseOpenFile(path: string, setting: string): void {
  refuseOpen(stat(path, setting, 'the path of a file'), path, setting)
}

function refuseOpen(stats: Stats, path: string, setting: string): void {
  if ((stats.mode & READ_OR_WRITE_BY_OTHERS) === 0) return
  throw new ConfigError(
    setting,
    `${path} with mode ${modeOf(stats)}, open to every user of this machine`,
    `a file only its owner can read: chmod 600 ${path}, and change the secret in it if others may have read it`,
  )
}

/**
 * Looks at a data folder.
 *
 * @throws ConfigError where it is missing, was not made by `ssm init`, or is open to others
 */
export function checkDataFolder(path: string, setting: string): void {
  const expected = `a folder that was made by: ssm init --data ${path}`
  const stats = stat(path, setting, expected)
  if (!stats.isDirectory()) throw new ConfigError(setting, `${path}, which is no folder`, expected)
  if ((stats.mode & ANYTHING_BY_OTHERS) !== 0) {
    throw new ConfigError(
      setting,
      `${path} with mode ${modeOf(stats)}`,
      `a folder only its owner can enter: chmod 700 ${path}`,
    )
  }
  stat(join(path, SETTINGS_FILE), setting, expected)
}

function modeOf({ mode }: Stats): string {
  return (mode & 0o777).toString(8).padStart(4, '0')
}

/** @throws ConfigError where there is no such file */
export function checkModuleFile(path: string, setting: string): void {
  const expected = "the path of the token's PKCS#11 library, such as /usr/lib/softhsm/libsofthsm2.so"
  const stats = stat(path, setting, expected)
  if (!stats.isFile()) throw new ConfigError(setting, `${path}, which is no file`, expected)
}

function stat(path: string, setting: string, expected: string): Stats {
  try {
    return statSync(path)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error'
    const open =
      code === 'EACCES' ? `${expected}, open to the user that runs this: start it as the owner, or chown` : expected
    throw new ConfigError(setting, `${path}, which cannot be read (${code})`, open)
  }
}
