import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll } from 'vitest'

const directory = mkdtempSync(join(tmpdir(), 'pkcs11-chaos-test-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

/** Compiles a program or module of `test/native` and gives its path; it is removed after the file's tests. */
export function compile(name: string, kind: 'program' | 'module' = 'program'): string {
  const target = join(directory, kind === 'module' ? `${name}.so` : name)
  const source = fileURLToPath(new URL(`../native/${name}.cc`, import.meta.url))
  const shared = kind === 'module' ? ['-shared', '-fPIC'] : []
  const flags = ['-std=c++17', '-O1', '-Wall', '-Wextra', '-Werror', '-pthread', ...shared]
  execFileSync('g++', [...flags, source, '-o', target, '-ldl'], { stdio: ['ignore', 'inherit', 'inherit'] })
  return target
}
