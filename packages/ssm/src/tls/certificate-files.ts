import { createHash, X509Certificate } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { createSecureContext, type SecureContextOptions } from 'node:tls'
import { ConfigError, type Refuse } from '../config/config-error.js'
import { attempt } from '../config/layers.js'

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
export function readCertificates(files: TlsFiles): Certificates {
  const { cert, leaf } = readCertificate(files)
  const key = readKey(files)
  const { ca, roots } = readRoots(files)
  // of both: what TLS 1.2 takes is not offered, whatever else the context is used for
  const options: SecureContextOptions = { cert, key, minVersion: 'TLSv1.3', ...(ca !== undefined && { ca }) }
  requireFit(options, files)
  return {
    options,
    digest: digestOf(cert, key, ca ?? Buffer.alloc(0)),
    trust: digestOf(ca ?? Buffer.alloc(0)),
    roots,
    validTo: new Date(leaf.validTo),
  }
}

/** Says all that {@link readCertificates} would refuse, and that a certificate is not good now. */
export function checkCertificates(files: TlsFiles, refuse: Refuse): void {
  const certificate = attempt(refuse, () => readCertificate(files), undefined)
  const key = attempt(refuse, () => readKey(files), undefined)
  attempt(refuse, () => void readRoots(files), undefined)
  if (certificate === undefined) return
  if (key !== undefined) attempt(refuse, () => requireFit({ cert: certificate.cert, key }, files), undefined)
  attempt(refuse, () => requireGoodNow(certificate.leaf, files), undefined)
}

function readCertificate({ certFile }: TlsFiles): { cert: Buffer; leaf: X509Certificate } {
  const cert = read(certFile, 'certFile', 'a file with a certificate in PEM')
  const [leaf] = certificatesIn(cert, certFile, 'certFile')
  return { cert, leaf }
}

function readKey({ keyFile }: TlsFiles): Buffer {
  const key = read(keyFile, 'keyFile', 'a file with the private key in PEM')
  if ((statSync(keyFile).mode & READ_OR_WRITE_BY_OTHERS) === 0) return key
  throw new ConfigError(
    'keyFile',
    `${keyFile}, open to every user of this machine`,
    `a file only its owner can read: chmod 600 ${keyFile}, and make a new key if others may have read it`,
  )
}

function readRoots({ caFile }: TlsFiles): { ca: Buffer | undefined; roots: readonly X509Certificate[] } {
  if (caFile === undefined) return { ca: undefined, roots: [] }
  const ca = read(caFile, 'caFile', 'a file with certificates in PEM')
  return { ca, roots: certificatesIn(ca, caFile, 'caFile') }
}

function requireFit(options: SecureContextOptions, { certFile, keyFile }: TlsFiles): void {
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
}

function requireGoodNow({ validFrom, validTo }: X509Certificate, { certFile }: TlsFiles): void {
  const [from, to] = [new Date(validFrom), new Date(validTo)]
  const expected = 'a certificate that is good now: clients refuse any other'
  if (to.getTime() <= Date.now()) {
    throw new ConfigError('certFile', `${certFile}, which ended on ${to.toISOString()}`, expected)
  }
  if (from.getTime() <= Date.now()) return
  throw new ConfigError('certFile', `${certFile}, which begins on ${from.toISOString()}`, expected)
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
