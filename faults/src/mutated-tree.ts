import { spawnSync } from 'node:child_process'
import {
  cpSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Mutation } from './mutations.js'
import type { Summary } from './report.js'

const COPIED = ['package.json', 'tsconfig.base.json', 'packages', 'faults']

/** A copy of the workspace, as built, to break and build again; what is installed is shared with the original. */
export class MutatedTree {
  readonly #root: string
  readonly #library: string

  constructor(original: string) {
    this.#root = mkdtempSync(join(tmpdir(), 'faults-mutated-'))
    this.#library = join(this.#root, 'packages/pkcs11-pool')
    for (const name of COPIED) {
      cpSync(join(original, name), join(this.#root, name), { recursive: true, preserveTimestamps: true })
    }
    const installed = join(original, 'node_modules')
    mkdirSync(join(this.#root, 'node_modules'))
    for (const name of readdirSync(installed)) {
      const path = join(installed, name)
      // Packages of the workspace are links, which have to lead to their copies.
      if (!lstatSync(path).isSymbolicLink()) symlinkSync(path, join(this.#root, 'node_modules', name))
    }
    for (const name of ['pkcs11-pool', 'pkcs11-chaos', 'testkit']) {
      symlinkSync(join(this.#root, 'packages', name), join(this.#root, 'node_modules', name))
    }
  }

  /** Builds the library with a defect, runs cells on it, and takes the defect out again. */
  run(mutation: Mutation): Summary {
    const path = join(this.#library, mutation.file)
    const original = readFileSync(path, 'utf8')
    const places = original.split(mutation.before).length - 1
    if (places !== 1)
      throw new Error(`${mutation.file} has the text of '${mutation.name}' ${places} times, expected once`)
    writeFileSync(
      path,
      original.replace(mutation.before, () => mutation.after),
    )
    try {
      this.#build(mutation)
      const cells = mutation.cells.flatMap((name) => ['--cell', name])
      const run = spawnSync(process.execPath, [join(this.#root, 'faults/dist/main.js'), '--json', ...cells], {
        encoding: 'utf8',
      })
      const lines = run.stdout.trim().split('\n')
      return JSON.parse(lines.at(-1) ?? '') as Summary
    } finally {
      writeFileSync(path, original)
      if (mutation.native) this.#build(mutation)
    }
  }

  remove(): void {
    rmSync(this.#root, { recursive: true, force: true })
  }

  /** The TypeScript each time: what is built of it may be the mutation before. */
  #build({ native, name }: Mutation): void {
    const tsc = join(this.#root, 'node_modules/.bin/tsc')
    const commands: [string, string[]][] = [
      [tsc, ['-p', '.', '--noUnusedLocals', 'false', '--noUnusedParameters', 'false']],
    ]
    if (native) commands.push(['npx', ['node-gyp', 'configure', 'build']])
    for (const [command, words] of commands) {
      const built = spawnSync(command, words, { cwd: this.#library, encoding: 'utf8' })
      if (built.status !== 0) throw new Error(`'${name}' cannot be built: ${built.stdout}${built.stderr}`)
    }
  }
}
