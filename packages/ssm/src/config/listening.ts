import type { TlsFiles } from '../tls/certificate-files.js'
import { type BindAddress, isLocal, parseBindAddress } from './bind-address.js'
import { ConfigError } from './config-error.js'
import type { Layers } from './layers.js'

/** Where the service listens, and who may come in by what. */
export interface ListeningConfig {
  /** `host:port`, or `unix:` and an absolute path. @defaultValue `127.0.0.1:8080` */
  bindAddr: string
  /** the files of TLS 1.3; with `caFile`, clients must present a certificate. @defaultValue plain HTTP */
  tls: TlsFiles | undefined
  /** accounts by the subject of a certificate that stands for each, such as `CN=udm,O=Core`. @defaultValue none */
  certificateAccounts: Readonly<Record<string, string>>
  /** plain HTTP on an address that other machines reach. @defaultValue false */
  sendSecretsUnencrypted: boolean
}

/** @throws ConfigError on what is malformed or contradictory */
export function readListening(
  layers: Layers,
  defaults: ListeningConfig,
  notice: (line: string) => void,
): ListeningConfig {
  const bindAddr = layers.text('bindAddr')
  const tls = layers.attempt(() => readTls(layers, notice), undefined)
  const listening = {
    bindAddr: bindAddr?.value ?? defaults.bindAddr,
    tls,
    certificateAccounts: layers.map('certificateAccounts') ?? defaults.certificateAccounts,
    sendSecretsUnencrypted:
      layers.choice('sendSecretsUnencrypted', { true: true, false: false }) ?? defaults.sendSecretsUnencrypted,
  }
  layers.attempt(() => void requireListening(listening, bindAddr?.source ?? 'bindAddr'), undefined)
  return listening
}

/**
 * Refuses to send passwords and keys over a network in the clear, unless told to in so many words.
 *
 * @throws ConfigError
 */
export function requireListening(config: ListeningConfig, setting: string): BindAddress {
  const { bindAddr, tls, certificateAccounts, sendSecretsUnencrypted } = config
  const address = parseBindAddress(bindAddr, setting)
  if (Object.keys(certificateAccounts).length > 0 && tls?.caFile === undefined) {
    throw new ConfigError(
      'certificateAccounts',
      'accounts for certificates that nobody has to present',
      'isHttps: true and a caFile beside it',
    )
  }
  if (tls !== undefined || isLocal(address) || sendSecretsUnencrypted) return address
  const host = 'host' in address && address.host !== '' ? JSON.stringify(address.host) : 'every address of this machine'
  throw new ConfigError(
    setting,
    `${host} without TLS`,
    'a loopback address (127.0.0.1, [::1], localhost) or unix: and a path, because passwords, tokens and keys would travel in the clear; ' +
      'set isHttps: true with certFile and keyFile, or, where the network itself keeps them secret, sendSecretsUnencrypted: true',
  )
}

function readTls(layers: Layers, notice: (line: string) => void): TlsFiles | undefined {
  const isHttps = layers.choice('isHttps', { true: true, false: false }) ?? false
  const names = ['certFile', 'keyFile', 'caFile'] as const
  if (!isHttps) {
    const sources = layers.sources()
    for (const source of names.flatMap((name) => sources.get(name) ?? []))
      notice(`${source} has no effect: isHttps is not true`)
    return undefined
  }
  const [certFile, keyFile, caFile] = names.map((name) => layers.text(name))
  if (certFile === undefined || keyFile === undefined) {
    throw new ConfigError(
      layers.text('isHttps')?.source ?? 'isHttps',
      'true',
      'certFile and keyFile beside it, the paths of PEM files',
    )
  }
  return { certFile: certFile.value, keyFile: keyFile.value, caFile: caFile?.value }
}
