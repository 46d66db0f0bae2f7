import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { SoftHsmToken } from 'testkit'
import { onTestFinished } from 'vitest'

export const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url))

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
export function runSsm(args: string[], env: Record<string, string | undefined> = {}): Ssm {
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

/** A data folder that `ssm init` made on a token. It is removed with the token. */
export interface Initialised {
  data: string
  /** by service id */
  passwords: Record<string, string>
}

/** Runs `ssm init` on the token. The PIN is given by environment, so that the data folder's settings hold none. */
export function initialise(token: SoftHsmToken, name = 'data', more: Record<string, string> = {}): Initialised {
  const data = join(token.directory, name)
  const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, 'init', '--data', data, '--json'], {
    env: { ...token.env, SSM_PKCS_PATH: token.module, SSM_TOKEN_LABEL: token.label, SSM_PIN: token.pin, ...more },
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(`ssm init failed: ${stderr}`)
  const { accounts } = JSON.parse(stdout) as { accounts: { service_id: string; password: string }[] }
  return { data, passwords: Object.fromEntries(accounts.map((each) => [each.service_id, each.password])) }
}

/** What a service on the token needs in its environment, listening on a free port. */
export function serviceEnv(token: SoftHsmToken, { data }: Initialised): Record<string, string> {
  return {
    ...token.env,
    SSM_DATA: data,
    SSM_PIN_FILE: token.pinFile,
    SSM_BIND_ADDR: '127.0.0.1:0',
    SSM_DRAIN_DELAY_MS: '0',
  }
}

/** Logs in and gives the headers of a request with JSON. */
export async function logIn(
  url: string,
  serviceId: string,
  password: string | undefined,
): Promise<Record<string, string>> {
  const answer = await fetch(`${url}/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ service_id: serviceId, password }),
  })
  const { token } = (await answer.json()) as { token?: string }
  if (token === undefined) throw new Error(`the login of ${serviceId} was answered with ${answer.status}`)
  return { 'content-type': 'application/json', authorization: `Bearer ${token}` }
}

/** The address in the line that a service prints at its start. */
export function urlIn(line: string): string {
  const url = /http:\/\/\S+/.exec(line)?.[0]
  if (url === undefined) throw new Error(`no address in: ${line}`)
  return url
}
