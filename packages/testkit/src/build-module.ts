import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const headers = fileURLToPath(new URL('../../pkcs11-pool/native', import.meta.url))
const output = fileURLToPath(new URL('../build', import.meta.url))

/** Where the PKCS#11 declarations of the repository are. */
export const cryptokiHeader = join(headers, 'cryptoki.h')

/**
 * Compiles one C file to a PKCS#11 module and returns its path. It may include `cryptoki.h`. The result is kept by the content of
 * source and header, so that only the first call of all processes compiles.
 */
export function buildModule(source: string, options: { flags?: string[] } = {}): string {
  const { flags = [] } = options
  const hash = createHash('sha256')
  for (const part of [readFileSync(source), readFileSync(cryptokiHeader), JSON.stringify(flags)]) hash.update(part)
  const name = `${basename(source, '.c')}-${hash.digest('hex').slice(0, 16)}`
  const target = join(output, `${name}.so`)
  if (existsSync(target)) return target

  mkdirSync(output, { recursive: true })
  const partial = join(output, `${name}.${process.pid}.partial`)
  const warnings = ['-Wall', '-Wextra', '-Werror', '-Wno-unused-parameter']
  execFileSync(
    process.env.CC ?? 'cc',
    [
      '-std=c11',
      '-O2',
      '-g',
      '-fPIC',
      '-shared',
      '-pthread',
      ...warnings,
      `-I${headers}`,
      ...flags,
      '-o',
      partial,
      source,
      '-ldl',
    ],
    { stdio: ['ignore', 'inherit', 'inherit'] },
  )
  // another process may have built the same meanwhile: whichever is renamed last stays, and both are alike
  renameSync(partial, target)
  return target
}
