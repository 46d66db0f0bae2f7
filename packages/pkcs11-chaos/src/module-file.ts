import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ChaosError } from './errors.js'

const PACKAGE = fileURLToPath(new URL('..', import.meta.url))

/**
 * The path of the fault proxy itself, which is built when this package is installed. A program that loads it needs
 * `PKCS11_CHAOS_MODULE` and `PKCS11_CHAOS_CONTROL` in its environment. `PKCS11_CHAOS_PREBUILD` in that of this process names a directory
 * where it was built in another way, with sanitizers for example.
 *
 * @throws NOT_BUILT
 */
export function chaosModule(): string {
  const path = join(process.env.PKCS11_CHAOS_PREBUILD ?? PACKAGE, 'build/Release/pkcs11-chaos.so')
  if (!existsSync(path)) {
    throw new ChaosError(
      'NOT_BUILT',
      `no module at ${path}: run 'npm rebuild pkcs11-chaos', which needs a C++ compiler`,
    )
  }
  return path
}
