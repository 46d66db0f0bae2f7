import { isIPv4 } from 'node:net'
import { isAbsolute } from 'node:path'
import { ConfigError } from './config-error.js'

/** Where to listen: an address, or a Unix socket. */
export type BindAddress =
  | {
      host: string
      /** 0 lets the system choose a free port */
      port: number
    }
  | { path: string }

const UNIX = 'unix:'

/** Reads `host:port` or `unix:/path`. @throws ConfigError naming `setting` */
export function parseBindAddress(text: string, setting: string): BindAddress {
  if (text.startsWith(UNIX)) {
    const path = text.slice(UNIX.length)
    if (isAbsolute(path)) return { path }
    throw new ConfigError(setting, JSON.stringify(text), 'an absolute path, such as unix:/run/ssm/ssm.sock')
  }
  const match = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(text)
  const port = Number(match?.[3])
  if (match === null || port > 65_535) {
    throw new ConfigError(
      setting,
      JSON.stringify(text),
      'host:port, such as 127.0.0.1:8080 or [::1]:8080, or unix: and a path',
    )
  }
  const host = match[1] ?? match[2] ?? ''
  // what `localhost` resolves to is the machine's business, so it is not asked
  return { host: host === 'localhost' ? '127.0.0.1' : host, port }
}

/** True for an address that only this machine can reach. */
export function isLocal(address: BindAddress): boolean {
  return 'path' in address || isLoopback(address.host)
}

/** True for an address or name that only this machine can reach. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'))
}
