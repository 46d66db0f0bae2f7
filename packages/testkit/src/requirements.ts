import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { TokenUnavailable } from './test-token.js'

/** Where Debian, Fedora and others put libraries. */
const LIBRARY_FOLDERS = [
  '/usr/lib/x86_64-linux-gnu',
  '/usr/lib/aarch64-linux-gnu',
  '/usr/lib64',
  '/usr/lib',
  '/usr/local/lib',
]

/** The path of a PKCS#11 module, looked for by the ends of its path. @throws TokenUnavailable */
export function findModule(names: string[], debianPackage: string): string {
  const candidates = LIBRARY_FOLDERS.flatMap((folder) => names.map((name) => join(folder, name)))
  const found = candidates.find((path) => existsSync(path))
  if (found !== undefined) return found
  throw new TokenUnavailable(`${names[0]} is not there: install ${debianPackage}`)
}

/** Checks that programs can be run: names, each with the Debian package that has it. @throws TokenUnavailable naming what is missing */
export function requirePrograms(programs: Record<string, string>): void {
  const folders = (process.env.PATH ?? '').split(delimiter).concat('/usr/sbin', '/sbin')
  const missing = Object.entries(programs).filter(([name]) => !folders.some((folder) => existsSync(join(folder, name))))
  if (missing.length === 0) return
  const names = missing.map(([name]) => name).join(', ')
  throw new TokenUnavailable(`missing ${names}: install ${[...new Set(missing.map(([, from]) => from))].join(' ')}`)
}
