import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { Agent, type IncomingMessage, request } from 'node:http'
import { createInterface } from 'node:readline'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { TokenPlace } from '../crypto/token.js'
import type { Context } from '../harness/context.js'

const CLI = join(fileURLToPath(import.meta.resolve('pkcs11-ssm/package.json')), '../dist/cli.js')

export interface Answer {
  status: number
  body: Record<string, unknown>
}

/** A request to the service, in whose name. */
export interface Ask {
  account: Account
  method: 'GET' | 'POST' | 'DELETE'
  path: string
  body?: object
}

export type Account = 'udm' | 'webconsole'

/** A real `ssm serve` with accounts and audit, in a process of its own, and its clients. */
export class Service {
  readonly #env: NodeJS.ProcessEnv
  readonly #process: ChildProcess
  readonly #url: string
  readonly #agent = new Agent({ keepAlive: true })
  readonly #bearers = new Map<Account, string>()

  private constructor(env: NodeJS.ProcessEnv, process: ChildProcess, url: string) {
    this.#env = env
    this.#process = process
    this.#url = url
  }

  static async start(context: Context, place: TokenPlace, data: string): Promise<Service> {
    const env = {
      PATH: process.env.PATH,
      ...place.env,
      SSM_DATA: data,
      SSM_PKCS_PATH: place.module,
      SSM_TOKEN_LABEL: place.label,
      SSM_PIN_FILE: place.pinFile,
    }
    const made = await promisify(execFile)(process.execPath, [CLI, 'init', '--json'], { env })
    const { accounts } = JSON.parse(made.stdout) as { accounts: { service_id: Account; password: string }[] }
    const child = spawn(process.execPath, [CLI, 'serve', '--listen', '127.0.0.1:0'], {
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    context.defer(() => end(child))
    const lines = createInterface({ input: child.stdout })
    const [line] = (await once(lines, 'line', { signal: endOf(child) })) as [string]
    const url = /http:\/\/\S+/.exec(line)?.[0]
    if (url === undefined) throw new Error(`the service printed no address, but: ${line}`)
    const service = new Service(env, child, url)
    for (const account of accounts) await service.#logIn(account)
    return service
  }

  /** Throws where no answer comes. */
  ask({ account, method, path, body }: Ask): Promise<Answer> {
    return this.#send(method, path, { authorization: `Bearer ${this.#bearers.get(account) ?? ''}` }, body)
  }

  /** Ends it in order. */
  async stop(): Promise<void> {
    this.#agent.destroy()
    const code = await end(this.#process)
    if (code !== 0) throw new Error(`the service ended with ${code}, expected 0`)
  }

  /** What `ssm audit verify` says; it throws where the audit is not what was written. */
  async verifyAudit(): Promise<string> {
    const { stdout } = await promisify(execFile)(process.execPath, [CLI, 'audit', 'verify'], { env: this.#env })
    return stdout.trim()
  }

  async #logIn({ service_id, password }: { service_id: Account; password: string }): Promise<void> {
    const { status, body } = await this.#send('POST', '/login', {}, { service_id, password })
    if (status !== 200) throw new Error(`the login of ${service_id} was answered with ${status}`)
    this.#bearers.set(service_id, String(body.token))
  }

  async #send(method: string, path: string, headers: Record<string, string>, body?: object): Promise<Answer> {
    const sent = request(this.#url + path, { agent: this.#agent, method })
    for (const [name, value] of Object.entries(headers)) sent.setHeader(name, value)
    if (body !== undefined) {
      const text = JSON.stringify(body)
      sent.setHeader('content-type', 'application/json').setHeader('content-length', Buffer.byteLength(text))
      sent.write(text)
    }
    sent.end()
    const [answer] = (await once(sent, 'response')) as [IncomingMessage]
    answer.setEncoding('utf8')
    let text = ''
    answer.on('data', (chunk: string) => (text += chunk))
    await once(answer, 'end')
    return { status: answer.statusCode ?? 0, body: JSON.parse(text) as Answer['body'] }
  }
}

/** Aborts when the process ends. */
function endOf(child: ChildProcess): AbortSignal {
  const ended = new AbortController()
  child.once('exit', (code) => ended.abort(new Error(`the service ended with status ${code}`)))
  return ended.signal
}

async function end(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  const kill = setTimeout(() => child.kill('SIGKILL'), 30_000)
  await exited
  clearTimeout(kill)
  return child.exitCode
}
