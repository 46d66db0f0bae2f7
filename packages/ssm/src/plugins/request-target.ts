import type { IncomingMessage } from 'node:http'
import { Problem } from '../problems/problem.js'

const ABSOLUTE = /^https?:\/\/([^/?#]*)([^#]*)/i

/** The path of a request whose target is a whole URL (RFC 9112, section 3.2.2), which servers have to take. */
export function pathOfTarget({ url = '/' }: Pick<IncomingMessage, 'url'>): string {
  const rest = url.startsWith('/') ? url : ABSOLUTE.exec(url)?.[2]
  if (rest === undefined) return url
  return rest.startsWith('/') ? rest : `/${rest}`
}

/**
 * Refuses a request that names two hosts, or is of a version that knows none: what stands before this service may have believed the
 * other one (RFC 9112, section 3.2).
 *
 * @param target as it was sent
 * @throws Problem VALIDATION_FAILED
 */
export function requireOneHost({ rawHeaders, headers, httpVersionMajor }: IncomingMessage, target: string): void {
  if (httpVersionMajor < 1) throw new Problem('VALIDATION_FAILED', 'got HTTP/0.9, expected HTTP/1.1')
  let hosts = 0
  for (let at = 0; at < rawHeaders.length; at += 2) {
    if (rawHeaders[at]?.length === 4 && rawHeaders[at]?.toLowerCase() === 'host') hosts++
  }
  const named = target.startsWith('/') ? undefined : ABSOLUTE.exec(target)?.[1]
  if (hosts <= 1 && (named === undefined || named.toLowerCase() === headers.host?.toLowerCase())) return
  throw new Problem('VALIDATION_FAILED', 'the request names two hosts, expected one, in its Host header')
}
