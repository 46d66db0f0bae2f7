import { type Stats, statSync } from 'node:fs'
import { ConfigError } from './config-error.js'

const READ_OR_WRITE_BY_OTHERS = 0o006

/**
 * Looks at the PIN file without opening it.
 *
 * @throws ConfigError where it is missing, no file, or open to every user of the machine
 */
export function checkPinFile(path: string, setting: string): void {
  const stats = stat(path, setting, 'the path of a file with the PIN')
  if (stats.isDirectory()) throw new ConfigError(setting, `a directory, ${path}`, 'the path of a file with the PIN')
  if ((stats.mode & READ_OR_WRITE_BY_OTHERS) !== 0) {
    const mode = (stats.mode & 0o777).toString(8).padStart(4, '0')
    throw new ConfigError(
      setting,
      `${path} with mode ${mode}, open to every user of this machine`,
      `a file only its owner can read: chmod 600 ${path}, and change the PIN if others may have read it`,
    )
  }
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
    throw new ConfigError(setting, `${path}, which cannot be read (${code})`, expected)
  }
}
