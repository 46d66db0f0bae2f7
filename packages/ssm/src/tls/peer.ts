import { type Socket } from 'node:net'
import { TLSSocket } from 'node:tls'

/** What the certificate of a connection's other end says, where it was verified. */
interface Peer {
  subject: string
  validToMs: number
}

const PEERS = new WeakMap<TLSSocket, Peer | undefined>()

/**
 * The subject of the certificate that a client presented, as `openssl x509 -noout -subject -nameopt RFC2253,-esc_msb` prints it:
 * `CN=udm,O=Core`. Undefined without one, and once it has ended.
 */
export function subjectOf(socket: Socket, nowMs: number = Date.now()): string | undefined {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined
  // of one connection it is always the same
  if (!PEERS.has(socket)) PEERS.set(socket, peerOf(socket))
  const peer = PEERS.get(socket)
  return peer === undefined || peer.validToMs <= nowMs ? undefined : peer.subject
}

function peerOf(socket: TLSSocket): Peer | undefined {
  const certificate = socket.getPeerX509Certificate()
  if (certificate === undefined) return undefined
  // one line a part, the widest first, each escaped by RFC 2253 and without control characters: no value looks like two parts
  const subject = certificate.subject.split('\n').toReversed().join(',')
  return { subject, validToMs: Date.parse(certificate.validTo) }
}
