import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { SoftHsmToken } from 'testkit'
import { onTestFinished } from 'vitest'

const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url))

/** The command in a process of its own. */
export interface Ssm {
  process: ChildProcess
  /** the first line of standard output; rejects where the process ends without one */
  firstLine: Promise<string>
  ended: Promise<Ended>
}

export interface Ended {
  code: number | null
  signal: NodeJS.Signals | null
  stdout: string
  stderr: string
}

/** Runs `ssm` with nothing in its environment but what is given, and ends it with the test. */
export function runSsm(args: string[], env: Record<string, string> = {}): Ssm {
  const child = spawn(process.execPath, [CLI, ...args], {
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  let stdout = ''
  let stderr = ''
  child.stderr.on('data', (chunk) => (stderr += String(chunk)))
  const firstLine = new Promise<string>((resolve, reject) => {
    child.stdout.on('data', (chunk) => {
      stdout += String(chunk)
      const end = stdout.indexOf('\n')
      if (end >= 0) resolve(stdout.slice(0, end))
    })
    child.once('close', () => reject(new Error(`ssm ended without a line: ${stderr}`)))
  })
  // whoever waits only for the end does not look at it
  firstLine.catch(() => undefined)
  const ended = once(child, 'close').then(([code, signal]) => ({
    code: code as number | null,
    signal: signal as NodeJS.Signals | null,
    stdout,
    stderr,
  }))
  return { process: child, firstLine, ended }
}

/** What a service on the token needs in its environment, listening on a free port. */
export function serviceEnv(token: SoftHsmToken): Record<string, string> {
  return {
    ...token.env,
    SSM_PKCS_PATH: token.module,
    SSM_TOKEN_LABEL: token.label,
    SSM_PIN_FILE: token.pinFile,
    SSM_BIND_ADDR: '127.0.0.1:0',
  }
}

/** The address in the line that a service prints at its start. */
export function urlIn(line: string): string {
  const url = /http:\/\/\S+/.exec(line)?.[0]
  if (url === undefined) throw new Error(`no address in: ${line}`)
  return url
}
