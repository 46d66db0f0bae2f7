// Packs each package that ships, as npm would, and has publint and attw look at what its users would get.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const directory = mkdtempSync(join(tmpdir(), 'check-packages-'))
const run = (command, args, cwd) =>
  execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })

try {
  for (const name of ['pkcs11-pool', 'pkcs11-chaos', 'ssm']) {
    const folder = join(root, 'packages', name)
    const [packed] = JSON.parse(
      run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', directory], folder),
    )
    const archive = join(directory, packed.filename)
    const bin = (tool) => join(root, 'node_modules/.bin', tool)
    for (const [tool, args] of [
      ['publint', ['run', archive, '--strict']],
      ['attw', [archive, '--profile', 'esm-only', '--no-emoji', '--format', 'table']],
    ]) {
      try {
        run(bin(tool), args, root)
      } catch (error) {
        console.error(`${tool} refuses ${packed.filename}:\n${error.stdout}${error.stderr}`)
        process.exitCode = 1
      }
    }
    const foreign = packed.files.map(({ path }) => path).filter((path) => /(^|\/)test\/|\.tsbuildinfo$/.test(path))
    if (foreign.length > 0) {
      console.error(`${packed.filename} holds files that are not for its users: ${foreign.join(', ')}`)
      process.exitCode = 1
    }
    const missing = ['LICENSE', 'README.md'].filter((path) => !packed.files.some((file) => file.path === path))
    if (missing.length > 0) {
      console.error(`${packed.filename} lacks ${missing.join(' and ')}`)
      process.exitCode = 1
    }
  }
} finally {
  rmSync(directory, { recursive: true, force: true })
}
