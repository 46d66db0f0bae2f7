import { isLoopback } from '../config/bind-address.js'

/** True for what names a PostgreSQL database, and no file. */
export function isDatabaseUrl(place: string): boolean {
  return /^postgres(ql)?:\/\//.test(place)
}

/** True where a database's URL carries a password, so that whoever reads it knows it. */
export function hasPassword(url: string): boolean {
  const { password, options } = partsOf(url)
  return password !== '' || options.has('password')
}

/** What is wrong with a database's URL, as got and expected, without any of it that could be secret; undefined where it will do. */
export function faultOf(url: string): { got: string; expected: string } | undefined {
  if (!isDatabaseUrl(url)) return { got: 'another scheme', expected: 'postgres://USER@HOST/DATABASE' }
  const { host, name, options } = partsOf(url)
  if (name === '') return { got: 'no name of a database', expected: 'postgres://USER@HOST/DATABASE' }
  const isHere = host === '' || host.startsWith('/') || isLoopback(host)
  if (isHere || options.has('sslmode')) return undefined
  return {
    got: 'a database on another machine, and nothing about TLS',
    expected: '?sslmode=verify-full at its end, or ?sslmode=disable where nobody else can listen or speak on the way',
  }
}

function partsOf(url: string): { password: string; host: string; name: string; options: URLSearchParams } {
  const [, credentials = '', authority = '', name = '', query = ''] =
    /^[a-z]+:\/\/(?:([^@]*)@)?([^/?]*)(?:\/([^?]*))?(?:\?(.*))?$/s.exec(url) ?? []
  const options = new URLSearchParams(query)
  const host = options.get('host') ?? hostOf(authority)
  return { password: /:(.*)$/s.exec(credentials)?.[1] ?? '', host, name, options }
}

/** Of `host:port` and `[::1]:port`; a folder of sockets is percent-encoded. */
function hostOf(authority: string): string {
  const host = /^\[([^\]]*)\]/.exec(authority)?.[1] ?? authority.replace(/:\d*$/, '')
  try {
    return decodeURIComponent(host)
  } catch {
    return host
  }
}
