import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** A certificate and its key, in files. */
export interface Certificate {
  certFile: string
  keyFile: string
  cert: Buffer
  key: Buffer
}

/** Makes certificates with OpenSSL in a folder. */
export class CertificateMaker {
  readonly #folder: string
  #made = 0

  constructor(folder: string) {
    this.#folder = folder
  }

  /** A root of its own. */
  root(subject: string): Certificate {
    return this.#make(subject, ['-addext', 'basicConstraints=critical,CA:TRUE'])
  }

  /** One that is good no more. */
  ended(subject: string): Certificate {
    const made = this.root(subject)
    const ends = ['-set_serial', '1', '-days', '-1', '-signkey', made.keyFile, '-out', made.certFile]
    execFileSync('openssl', ['x509', '-in', made.certFile, ...ends], { stdio: 'pipe' })
    return { ...made, cert: readFileSync(made.certFile) }
  }

  /** One that a root signed, and that signs others. */
  intermediate(by: Certificate, subject: string): Certificate {
    const signed = ['-CA', by.certFile, '-CAkey', by.keyFile]
    return this.#make(subject, ['-addext', 'basicConstraints=critical,CA:TRUE', ...signed])
  }

  /** One that a root signed, good for this machine. */
  signed(by: Certificate, subject: string): Certificate {
    const names = [
      '-addext',
      'basicConstraints=critical,CA:FALSE',
      '-addext',
      'subjectAltName=IP:127.0.0.1,DNS:localhost',
    ]
    return this.#make(subject, ['-CA', by.certFile, '-CAkey', by.keyFile, ...names])
  }

  #make(subject: string, more: string[]): Certificate {
    const name = join(this.#folder, `made-${++this.#made}`)
    const [certFile, keyFile] = [`${name}.crt`, `${name}.key`]
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', keyFile]
    execFileSync(
      'openssl',
      ['req', '-x509', '-utf8', ...key, '-out', certFile, '-subj', subject, '-days', '2', ...more],
      {
        stdio: 'pipe',
      },
    )
    return { certFile, keyFile, cert: readFileSync(certFile), key: readFileSync(keyFile) }
  }
}
