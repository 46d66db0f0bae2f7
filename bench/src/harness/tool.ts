import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const execute = promisify(execFile)

/** The Debian package that each program comes from. */
const PACKAGES: Record<string, string> = { cc: 'gcc', 'softhsm2-util': 'softhsm2', wrk: 'wrk' }

/** Runs a program to its end and gives what it printed. Where it is not installed, the error says how to. */
export async function runTool(command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<string> {
  try {
    const { stdout } = await execute(command, args, { env: { ...process.env, ...env } })
    return stdout
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT' ? PACKAGES[command] : undefined
    if (missing === undefined) throw error
    throw new Error(`${command} is not installed: on Debian 'apt-get install ${missing}'`, { cause: error })
  }
}
