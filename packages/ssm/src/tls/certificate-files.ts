import { createHash, X509Certificate } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { createSecureContext, type SecureContextOptions } from 'node:tls'
import { ConfigError } from '../config/config-error.js'

/** The files that TLS is made of, all PEM. */
export interface TlsFiles {
  /** the certificate, and those between it and its root */
  certFile: string
  keyFile: string
  /** whose certificates clients must present; undefined where they need none */
  caFile: string | undefined
}

/** What was in the files at one moment, seen to fit together. */
export interface Certificates {
  options: SecureContextOptions
  /** tells whether two are the same */
  digest: string
  /** the same of the trusted roots alone */
  trust: string
  roots: readonly X509Certificate[]
  /** when the certificate ends */
  validTo: Date
}

const READ_OR_WRITE_BY_OTHERS = 0o006
const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g

/** @throws ConfigError naming the file that cannot be used. Nothing of a key is in the message */
export function readCertificates({ certFile, keyFile, caFile }: TlsFiles): Certificates {
  const cert = read(certFile, 'certFile', 'a file with a certificate in PEM')
  const [leaf] = certificatesIn(cert, certFile, 'certFile')
  const key = read(keyFile, 'keyFile', 'a file with the private key in PEM')
  if ((statSync(keyFile).mode & READ_OR_WRITE_BY_OTHERS) !== 0) {
    throw new ConfigError(
      'keyFile',
      `${keyFile}, open to every user of this machine`,
      `a file only its owner can read: chmod 600 ${keyFile}, and make a new key if others may have read it`,
    )
  }
  const ca = caFile === undefined ? undefined : read(caFile, 'caFile', 'a file with certificates in PEM')
  const roots = ca === undefined ? [] : certificatesIn(ca, caFile ?? '', 'caFile')
  // of both: what TLS 1.2 takes is not offered, whatever else the context is used for
  const options: SecureContextOptions = { cert, key, minVersion: 'TLSv1.3', ...(ca !== undefined && { ca }) }
  try {
    createSecureContext(options)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error'
    throw new ConfigError(
      'keyFile',
      `${keyFile} (${code})`,
      `the private key, without a passphrase, of the certificate in ${certFile}`,
    )
  }
  return {
    options,
    digest: digestOf(cert, key, ca ?? Buffer.alloc(0)),
    trust: digestOf(ca ?? Buffer.alloc(0)),
    roots,
    validTo: new Date(leaf.validTo),
  }
}

/** Every certificate in a text; OpenSSL passes over what it cannot read, and then trusts fewer than it was told to. */
function certificatesIn(pem: Buffer, path: string, setting: string): [X509Certificate, ...X509Certificate[]] {
  const got = `${path}, which holds what is no certificate in PEM`
  const expected = 'certificates in PEM, each from its BEGIN to its END line'
  const text = pem.toString('latin1')
  try {
    const [first, ...others] = (text.match(PEM_CERTIFICATE) ?? []).map((each) => new X509Certificate(each))
    const begun = text.split('-----BEGIN CERTIFICATE-----').length - 1
    if (first !== undefined && others.length + 1 === begun) return [first, ...others]
  } catch {
    // the parser's words say no more
  }
  throw new ConfigError(setting, got, expected)
}

function read(path: string, setting: string, expected: string): Buffer {
  try {
    return readFileSync(path)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error'
    throw new ConfigError(setting, `${path}, which cannot be read (${code})`, expected)
  }
}

function digestOf(...parts: readonly Buffer[]): string {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(`${part.length}:`).update(part)
  return hash.digest('hex')
}
