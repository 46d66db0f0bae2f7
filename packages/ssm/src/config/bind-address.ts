import { isIPv4 } from 'node:net'
import { ConfigError } from './config-error.js'

/** Where to listen. */
export interface BindAddress {
  host: string
  /** 0 lets the system choose a free port */
  port: number
}

/**
 * Reads `host:port` and refuses every address other than loopback: there is no TLS yet, so passwords and tokens would travel in the
 * clear.
 *
 * @throws ConfigError naming `setting`
 */
export function parseBindAddress(text: string, setting: string): BindAddress {
  const match = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(text)
  const port = Number(match?.[3])
  if (match === null || port > 65_535) {
    throw new ConfigError(setting, JSON.stringify(text), 'host:port, such as 127.0.0.1:8080 or [::1]:8080')
  }
  const host = match[1] ?? match[2] ?? ''
  if (!isLoopback(host)) {
    const where = host === '' ? 'every address of this machine' : JSON.stringify(host)
    throw new ConfigError(
      setting,
      where,
      'a loopback address (127.0.0.1, [::1], localhost): the service has no TLS yet, so passwords and tokens would travel in the ' +
        'clear; set 127.0.0.1:8080 and let other machines in through a proxy that speaks TLS',
    )
  }
  // what `localhost` resolves to is the machine's business, so it is not asked
  return { host: host === 'localhost' ? '127.0.0.1' : host, port }
}

/** True for an address or name that only this machine can reach. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'))
}
