import { isLoopback } from '../config/bind-address.js'
import { Problem } from '../problems/problem.js'

const HOST = /^(?:\[([^\]]*)\]|([^:]*))(?::\d*)?$/

/**
 * Refuses requests that name another host than this machine. A page in a browser on this machine can have its own name resolve to
 * 127.0.0.1 and then talk to the service as if it were its own (DNS rebinding); the Host header gives it away.
 *
 * @throws Problem FORBIDDEN
 */
export function requireLoopbackHost(host: string | undefined): void {
  const match = HOST.exec(host ?? '')
  const name = (match?.[1] ?? match?.[2] ?? '').toLowerCase()
  if (isLoopback(name)) return
  throw new Problem('FORBIDDEN', 'the Host header names another machine, expected localhost, 127.0.0.1 or [::1]')
}
