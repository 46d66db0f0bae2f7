import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { Agent, type IncomingMessage, request } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'

/** Whether HAProxy is installed. */
export const haproxy = ['/usr/sbin/haproxy', '/usr/local/sbin/haproxy'].find((path) => existsSync(path))

/** A balancer before two services, listening on a Unix socket. */
export interface Balancer {
  /** points one of its two places to a service that listens; resolves when it sends requests there */
  use(place: 'a' | 'b', url: string): Promise<void>
  send(
    method: string,
    path: string,
    headers: Record<string, string>,
    body?: object,
  ): Promise<{ status: number; body: string }>
  stop(): Promise<void>
}

const CONFIGURATION = `
defaults
  mode http
  timeout connect 2s
  timeout check 20s
  timeout client 30s
  timeout server 30s
  # unless said, an answer later than the time between two checks counts as none: a busy machine would be down
  timeout check 20s
  retries 3
  option redispatch
frontend front
  bind unix@front.sock
  default_backend ssm
backend ssm
  balance roundrobin
  option httpchk GET /readyz
  http-check send hdr host 127.0.0.1
  default-server check inter 50ms fall 1 rise 1
  server a 127.0.0.1:1 disabled
  server b 127.0.0.1:1 disabled
`

export async function startBalancer(): Promise<Balancer> {
  const directory = mkdtempSync(join(tmpdir(), 'ssm-haproxy-'))
  const control = join(directory, 'control.sock')
  writeFileSync(join(directory, 'haproxy.cfg'), `global\n  stats socket ${control} level admin\n${CONFIGURATION}`)
  const child = spawn(haproxy ?? 'haproxy', ['-db', '-q', '-f', 'haproxy.cfg'], { cwd: directory, stdio: 'ignore' })
  const ended = once(child, 'exit')
  const agent = new Agent({ keepAlive: true, maxSockets: 32 })
  const command = async (line: string) => {
    const socket = connect(control)
    await once(socket, 'connect')
    socket.write(`${line}\n`)
    return text(socket)
  }
  const until = async (isSo: () => Promise<boolean>) => {
    while (!(await isSo())) {
      if (child.exitCode !== null) throw new Error(`haproxy ended with ${child.exitCode}`)
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  await until(() =>
    command('show info').then(
      () => true,
      () => false,
    ),
  )
  return {
    use: async (place, url) => {
      const { port, hostname } = new URL(url)
      await command(`set server ssm/${place} state maint`)
      await command(`set server ssm/${place} addr ${hostname} port ${port}`)
      await command(`set server ssm/${place} state ready`)
      await until(async () => (await command('show stat')).split('\n').some((line) => isUp(line, place)))
    },
    send: async (method, path, headers, body) => {
      const outgoing = request({
        socketPath: join(directory, 'front.sock'),
        agent,
        method,
        path,
        headers: { ...headers, host: '127.0.0.1' },
      })
      const answered = once(outgoing, 'response')
      outgoing.end(body === undefined ? undefined : JSON.stringify(body))
      const [response] = (await answered) as [IncomingMessage]
      return { status: response.statusCode ?? 0, body: await text(response) }
    },
    stop: async () => {
      agent.destroy()
      child.kill('SIGKILL')
      await ended
      rmSync(directory, { recursive: true })
    },
  }
}

/** `show stat` gives comma-separated values: the proxy, the server, and its state as the 18th; and that its check has passed as the 37th. */
function isUp(line: string, place: string): boolean {
  const values = line.split(',')
  return values[0] === 'ssm' && values[1] === place && values[17] === 'UP' && values[36]?.includes('L7OK') === true
}
