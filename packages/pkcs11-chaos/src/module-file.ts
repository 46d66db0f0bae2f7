import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { ChaosError } from './errors.js'

/**
 * The path of the fault proxy itself, which is built when this package is installed. A program that loads it needs
 * `PKCS11_CHAOS_MODULE` and `PKCS11_CHAOS_CONTROL` in its environment.
 *
 * @throws NOT_BUILT
 */
export function chaosModule(): string {
  const path = fileURLToPath(new URL('../build/Release/pkcs11-chaos.so', import.meta.url))
  if (!existsSync(path)) {
    throw new ChaosError(
      'NOT_BUILT',
      `no module at ${path}: run 'npm rebuild pkcs11-chaos', which needs a C++ compiler`,
    )
  }
  return path
}
