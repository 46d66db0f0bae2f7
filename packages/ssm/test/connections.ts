import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { Agent, type AgentOptions, request } from 'node:https'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { App } from '../src/index.js'

/** Listens on a free port of this machine, and gives it. */
export async function listen(app: App): Promise<number> {
  await app.listen({ host: '127.0.0.1', port: 0 })
  return (app.server.address() as AddressInfo).port
}

/** What came back over TLS, and from whom. */
export interface TlsAnswer {
  status: number
  body: Record<string, unknown>
  connection: string | undefined
  /** the serial number of the server's certificate */
  serial: string
  socket: TLSSocket
}

/** A client that has one connection, opened with the first request, and opened anew where the server closed it. */
export class TlsClient {
  readonly #port: number
  readonly #agent: Agent
  /** kept from the first answer: later, a client does not always know any more who it talks to */
  readonly #serials = new WeakMap<TLSSocket, string>()

  constructor(port: number, options: AgentOptions) {
    this.#port = port
    this.#agent = new Agent({ keepAlive: true, maxSockets: 1, maxCachedSessions: 0, ...options })
  }

  async ask(path: string, headers: Record<string, string> = {}, body?: object): Promise<TlsAnswer> {
    const outgoing = request({
      host: '127.0.0.1',
      port: this.#port,
      path,
      agent: this.#agent,
      method: body === undefined ? 'GET' : 'POST',
      headers: { ...headers, ...(body !== undefined && { 'content-type': 'application/json' }) },
    })
    outgoing.end(body === undefined ? undefined : JSON.stringify(body))
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
    const { socket } = response
    if (!(socket instanceof TLSSocket)) throw new Error('the answer did not come over TLS')
    const serial = this.#serials.get(socket) ?? socket.getPeerX509Certificate()?.serialNumber ?? ''
    this.#serials.set(socket, serial)
    let text = ''
    for await (const chunk of response) text += String(chunk)
    return {
      status: response.statusCode ?? 0,
      body: JSON.parse(text) as Record<string, unknown>,
      connection: response.headers.connection,
      serial,
      socket,
    }
  }

  close(): void {
    this.#agent.destroy()
  }
}

/** Sends bytes as they are, and gives all that comes back until the other end closes. */
export async function sendRaw(port: number, text: string): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  socket.write(text)
  return readAll(socket)
}

/** All that comes until the other end closes, however it does. */
export async function readAll(socket: Socket): Promise<string> {
  let text = ''
  socket.on('data', (chunk) => (text += String(chunk)))
  socket.on('error', () => {})
  await new Promise((resolve) => socket.once('close', resolve))
  return text
}
