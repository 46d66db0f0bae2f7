import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runTool } from './tool.js'

const bench = fileURLToPath(new URL('../..', import.meta.url))

/** Compiles a C program of `bench/native` and gives its path. */
export async function buildProgram(name: 'limit' | 'fill'): Promise<string> {
  const program = join(bench, 'build', name)
  const source = (file: string) => join(bench, 'native', file)
  const headers = join(bench, '../packages/pkcs11-pool/native')
  const flags = ['-O2', '-std=gnu11', '-Wall', '-Wextra', `-I${headers}`]
  await mkdir(dirname(program), { recursive: true })
  await runTool('cc', [...flags, '-o', program, source(`${name}.c`), source('token.c'), '-lpthread', '-ldl'])
  return program
}

/** pkcs11js ships as source only, and this repository installs without running packages' scripts. */
export async function buildPkcs11js(log: (message: string) => void): Promise<void> {
  const directory = fileURLToPath(new URL('.', import.meta.resolve('pkcs11js/package.json')))
  if (existsSync(join(directory, 'build/Release/pkcs11.node'))) return
  log('building pkcs11js')
  await runTool('npm', ['rebuild', 'pkcs11js', '--prefix', join(bench, '..')])
}
