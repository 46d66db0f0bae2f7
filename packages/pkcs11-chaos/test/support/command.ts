import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { afterAll } from 'vitest'

/** A directory with the command as npm puts it there, by its name; removed after the file's tests. */
const directory = mkdtempSync(join(tmpdir(), 'pkcs11-chaos-bin-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))
const cli = fileURLToPath(new URL('../../dist/cli.js', import.meta.url))
chmodSync(cli, 0o755)
symlinkSync(cli, join(directory, 'pkcs11-chaos'))

export interface Outcome {
  status: number | null
  stdout: string
  stderr: string
}

/** Runs a program with `pkcs11-chaos` on its path. */
export async function runProgram(
  file: string,
  args: readonly string[],
  options: { env?: NodeJS.ProcessEnv; cwd?: string } = {},
): Promise<Outcome> {
  const { env = {}, cwd } = options
  const child = spawn(file, args, {
    cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...process.env,
      PKCS11_CHAOS_CONTROL: undefined,
      ...env,
      PATH: `${directory}${delimiter}${process.env.PATH}`,
    },
  })
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  return { status: child.exitCode, stdout, stderr }
}

/** Runs the command. */
export function runCommand(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Outcome> {
  return runProgram('pkcs11-chaos', args, { env })
}
