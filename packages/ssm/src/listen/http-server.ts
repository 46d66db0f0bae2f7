import { createServer, type RequestListener, type Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { HANDSHAKE_MS, type TlsIdentity } from '../tls/tls-identity.js'

/** What one connection may take, in milliseconds. */
export interface ConnectionLimits {
  /** until all headers of a request have arrived, from the start of the connection or the end of the last request */
  headersTimeoutMs: number
  /** until all of a request has arrived */
  requestTimeoutMs: number
}

const MAX_HEADER_BYTES = 16 * 1024
const KEEP_ALIVE_MS = 72_000
/** Without a byte either way; above whatever a request may take. */
const IDLE_MS = 120_000
const MAX_CONNECTIONS = 20_000
/**
 * Connections that have been made and not yet been taken. A rotation of keys opens thousands at once: of those that find no room the system drops
 * the first packets, and a client sends them again after 1, 2, 4, 8 s. Linux allows at most net.core.somaxconn (4,096).
 */
export const BACKLOG = MAX_CONNECTIONS

/** A server that gives no connection more than its share, with TLS 1.3 where it has certificates. */
export function createHttpServer(handler: RequestListener, limits: ConnectionLimits, tls?: TlsIdentity): Server {
  const { headersTimeoutMs, requestTimeoutMs } = limits
  const options = {
    headersTimeout: headersTimeoutMs,
    requestTimeout: requestTimeoutMs,
    connectionsCheckingInterval: Math.min(1_000, Math.ceil(headersTimeoutMs / 2)),
    keepAliveTimeout: KEEP_ALIVE_MS,
    maxHeaderSize: MAX_HEADER_BYTES,
    // whatever the process was started with
    insecureHTTPParser: false,
    requireHostHeader: true,
  }
  const server = tls === undefined ? createServer(options, handler) : withTls(tls, options, headersTimeoutMs, handler)
  server.setTimeout(IDLE_MS)
  server.maxConnections = MAX_CONNECTIONS
  return server
}

function withTls(tls: TlsIdentity, options: object, handshakeMs: number, handler: RequestListener): Server {
  const server = createTlsServer(
    {
      ...options,
      ...tls.current.options,
      handshakeTimeout: Math.min(HANDSHAKE_MS, handshakeMs),
      ALPNProtocols: ['http/1.1'],
      requestCert: tls.mutual,
      rejectUnauthorized: tls.mutual,
    },
    handler,
  )
  tls.attach(server)
  return server
}
