import { ConfigError } from '../config/config-error.js'

/** Where a copy of the audit goes. */
export interface StreamTarget {
  format: 'syslog' | 'jsonl'
  protocol: 'tcp' | 'udp' | 'unix'
  host: string
  port: number
  /** of a Unix socket */
  path: string | undefined
}

const EXPECTED =
  'syslog+tcp://HOST:PORT, syslog+udp://HOST:PORT, syslog+unix:///PATH, jsonl+tcp://HOST:PORT or jsonl+unix:///PATH'

/** @throws ConfigError naming `setting` */
export function parseStreamTarget(text: string, setting: string): StreamTarget {
  const inet = /^(syslog|jsonl)\+(tcp|udp):\/\/(?:\[([\da-fA-F:.]+)\]|([\w.-]+)):(\d{1,5})$/.exec(text)
  if (inet !== null) {
    const [, format, protocol, v6, name, digits] = inet
    const port = Number(digits)
    const isKnown = !(format === 'jsonl' && protocol === 'udp') && port >= 1 && port <= 65_535
    if (isKnown) {
      return {
        format: format === 'jsonl' ? 'jsonl' : 'syslog',
        protocol: protocol === 'udp' ? 'udp' : 'tcp',
        host: v6 ?? name ?? '',
        port,
        path: undefined,
      }
    }
  }
  const unix = /^(syslog|jsonl)\+unix:\/\/(\/.+)$/.exec(text)
  if (unix === null) throw new ConfigError(setting, JSON.stringify(text), EXPECTED)
  return { format: unix[1] === 'jsonl' ? 'jsonl' : 'syslog', protocol: 'unix', host: '', port: 0, path: unix[2] }
}
