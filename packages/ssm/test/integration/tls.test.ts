import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls'
import { useSoftHsmToken } from 'testkit/vitest'
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { HANDSHAKE_MS, TlsIdentity } from '../../src/tls/tls-identity.js'
import { type AuthHarness, startAuthHarness } from '../auth-harness.js'
import { type Certificate, CertificateMaker } from '../certificates.js'
import { listen, sendRaw, TlsClient } from '../connections.js'

const hsm = useSoftHsmToken({ keys: [{ label: 'KEY_ENCRYPTION_AES256' }] })
const folder = mkdtempSync(join(tmpdir(), 'ssm-tls-'))
const maker = new CertificateMaker(folder)
const [root, clientsRoot, othersRoot] = ['/CN=Servers', '/CN=Clients', '/CN=Others'].map((each) =>
  maker.root(each),
) as [Certificate, Certificate, Certificate]
const first = maker.signed(root, '/CN=ssm one')
const second = maker.signed(root, '/CN=ssm two')
const udm = maker.signed(clientsRoot, '/O=Core/CN=udm')
const files = {
  certFile: join(folder, 'now.crt'),
  keyFile: join(folder, 'now.key'),
  caFile: join(folder, 'now-ca.crt'),
}
const lines: string[] = []
let heard: () => void = () => {}
let harness: AuthHarness
let identity: TlsIdentity
let port: number
let ahead = 0

beforeAll(async () => {
  use(first)
  writeFileSync(files.caFile, clientsRoot.cert)
  const tell = (line: string) => {
    lines.push(line)
    heard()
  }
  identity = new TlsIdentity(files, tell, () => performance.now() + ahead)
  const certificateAccounts = { 'CN=udm,O=Core': 'udm', 'CN=gone,O=Core': 'gone', 'CN=nobody': 'nobody' }
  harness = await startAuthHarness(hsm, undefined, { tls: identity, hosts: 'any', config: { certificateAccounts } })
  await harness.add('udm', 'udm')
  port = await listen(harness.app)
  identity.watch()
})
afterEach(() => {
  // each begins with the same, read or not
  use(first)
  writeFileSync(files.caFile, clientsRoot.cert)
  identity.reload()
  // nobody is connecting any more since before that
  ahead += HANDSHAKE_MS + 1
  lines.length = 0
})
afterAll(async () => {
  identity.close()
  await harness.close()
  rmSync(folder, { recursive: true })
})

function use({ cert, key }: Pick<Certificate, 'cert' | 'key'>): void {
  writeFileSync(files.certFile, cert)
  writeFileSync(files.keyFile, key, { mode: 0o600 })
}

function clientOf(certificate: Partial<Certificate> = udm): TlsClient {
  const client = new TlsClient(port, { ca: root.cert, cert: certificate.cert, key: certificate.key })
  onTestFinished(() => client.close())
  return client
}

/** The line that tells what came of new files, and no other. */
async function toldOf(pattern: RegExp): Promise<string> {
  for (;;) {
    const line = lines.find((each) => pattern.test(each))
    if (line !== undefined) return line
    await new Promise<void>((resolve) => (heard = resolve))
  }
}

/** Connects, and gives what the server does with it: a byte of an answer, or the code of the error. */
async function outcomeOf(options: ConnectionOptions): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port, ca: root.cert, ...options })
  onTestFinished(() => void socket.destroy())
  // in TLS 1.3 a client hears only afterwards what the server says of its certificate
  socket.once('secureConnect', () => socket.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n'))
  return Promise.race([
    once(socket, 'data').then(([data]) => String(data).slice(0, 15)),
    new Promise<string>((resolve) => socket.once('close', () => resolve('closed'))),
  ]).catch((error: unknown) => String((error as { code?: unknown }).code))
}

const OK = 'HTTP/1.1 200 OK'
/** The server's alert, unless the end of the connection overtakes it. */
const REFUSED = /^ERR_SSL_|^ECONNRESET$|^EPIPE$|^closed$/
const as = ({ cert, key }: Certificate) => ({ cert, key })

describe('TLS', () => {
  it('1.3 is spoken with a client that has a certificate of the root', async () => {
    expect(await outcomeOf(as(udm))).toBe(OK)
    const { socket } = await clientOf().ask('/healthz')
    expect([socket.getProtocol(), socket.authorized]).toEqual(['TLSv1.3', true])
  })

  it('1.2 and older are refused, to node and to OpenSSL', async () => {
    expect(await outcomeOf({ ...as(udm), maxVersion: 'TLSv1.2' })).toBe('ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION')
    expect((await openssl('-tls1_3')).status).toBe(0)
    expect(await openssl('-tls1_2')).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('alert protocol version'),
    })
  })

  it('is not spoken with a client that has no certificate, or one of another root or its own', async () => {
    const pretender = maker.root('/O=Core/CN=udm')
    expect(await outcomeOf({})).toMatch(REFUSED)
    expect(await outcomeOf(as(maker.signed(othersRoot, '/O=Core/CN=udm')))).toMatch(REFUSED)
    expect(await outcomeOf(as(pretender))).toMatch(REFUSED)
  })

  it('has a client refuse the service that another root signed', async () => {
    expect(await outcomeOf({ ...as(udm), ca: othersRoot.cert })).toMatch(/^UNABLE_TO_|^SELF_SIGNED_/)
  })

  it('is what the port speaks: plain HTTP gets no answer', async () => {
    expect(await sendRaw(port, 'GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n')).not.toContain('HTTP/1.1 200')
  })

  /** Asynchronous, because the service is in this process. */
  async function openssl(version: string): Promise<{ status: number | null; stderr: string }> {
    const client = ['-CAfile', root.certFile, '-cert', udm.certFile, '-key', udm.keyFile, '-verify_return_error']
    const child = spawn('openssl', ['s_client', '-connect', `127.0.0.1:${port}`, version, ...client], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    onTestFinished(() => void child.kill('SIGKILL'))
    let stderr = ''
    child.stderr.on('data', (chunk) => (stderr += String(chunk)))
    const [status] = (await once(child, 'close')) as [number | null]
    return { status, stderr }
  }
})

describe('a certificate', () => {
  it('stands for its account: what the account’s role allows, and no more', async () => {
    const client = clientOf()
    expect((await client.ask('/crypto/health-check')).status).toBe(200)
    const body = { key_label: 'KEY_ENCRYPTION_AES256', plain: '00', encryption_algorithm: 5 }
    const refused = await client.ask('/crypto/encrypt', {}, body)
    expect([refused.status, refused.body.error]).toEqual([403, 'invalid operation for the user'])
  })

  it('is named as OpenSSL prints it', () => {
    const args = ['x509', '-in', udm.certFile, '-noout', '-subject', '-nameopt', 'RFC2253,-esc_msb']
    expect(execFileSync('openssl', args, { encoding: 'utf8' })).toBe('subject=CN=udm,O=Core\n')
  })

  it('stands for nobody where its account is disabled or not there, on an open connection too', async () => {
    const client = clientOf(maker.signed(clientsRoot, '/O=Core/CN=gone'))
    await harness.add('gone', 'udm')
    harness.advance(5_000)
    expect((await client.ask('/crypto/health-check')).status).toBe(200)
    await harness.accounts.disable('gone')
    harness.advance(5_000)
    const refused = await client.ask('/crypto/health-check')
    expect([refused.status, refused.body.error]).toEqual([401, 'invalid user'])
    const nobody = await clientOf(maker.signed(clientsRoot, '/CN=nobody')).ask('/crypto/health-check')
    expect([nobody.status, nobody.body.error]).toEqual([401, 'invalid user'])
  })

  it.each([
    '/CN=udm,O=Core',
    '/CN=udm\nO=Core',
    '/O=Core\nCN=udm',
    '/CN=udm',
    '/O=Core/CN=UDM',
    '/C=DE/O=Core/CN=udm',
    '/O=Core/CN=udm/OU=x',
    '/O=Core/CN=udm\\+OU=x',
    '/CN=__proto__',
    '/CN=constructor',
  ])('with the subject %j stands for nobody', async (subject) => {
    const answer = await clientOf(maker.signed(clientsRoot, subject)).ask('/crypto/health-check')
    expect([answer.status, answer.body.error]).toEqual([401, 'missing auth headers'])
  })

  it('counts after a token that is sent: a bad one is refused, a good one is whose request it is', async () => {
    const client = clientOf()
    expect((await client.ask('/crypto/health-check', { authorization: 'Bearer a.b.c' })).status).toBe(401)
    const token = await harness.token('console', await harness.add('console', 'webconsole'))
    harness.advance(5_000)
    const headers = { authorization: `Bearer ${token}` }
    expect((await client.ask('/crypto/get-all-keys', headers, {})).status).toBe(200)
  })
})

describe('new certificates', () => {
  it('are used by new connections, while those that are open go on', async () => {
    const [before, after] = [clientOf(), clientOf()]
    const { serial, socket } = await before.ask('/healthz')
    use(second)
    await toldOf(/new certificates are used/)
    const renewed = await after.ask('/healthz')
    expect(renewed.serial).not.toBe(serial)
    const again = await before.ask('/healthz')
    expect([again.status, again.serial, again.socket === socket]).toEqual([200, serial, true])
  })

  it('are seen when they are renamed into place, and when a link comes to mean others, as in Kubernetes', async () => {
    const secret = join(folder, 'secret')
    for (const [name, each] of [
      ['one', first],
      ['two', second],
    ] as const) {
      mkdirSync(join(secret, name), { recursive: true })
      copyFileSync(each.certFile, join(secret, name, 'tls.crt'))
      copyFileSync(each.keyFile, join(secret, name, 'tls.key'))
    }
    symlinkSync('one', join(secret, '..data'))
    symlinkSync('..data/tls.crt', join(secret, 'tls.crt'))
    symlinkSync('..data/tls.key', join(secret, 'tls.key'))
    const told = new Promise<string>((resolve) => {
      const mounted = { certFile: join(secret, 'tls.crt'), keyFile: join(secret, 'tls.key'), caFile: undefined }
      const watching = new TlsIdentity(mounted, resolve)
      onTestFinished(() => watching.close())
      watching.watch()
    })
    symlinkSync('two', join(secret, '..new'))
    renameSync(join(secret, '..new'), join(secret, '..data'))
    expect(await told).toMatch(/new certificates are used/)

    use({ cert: first.cert, key: first.key })
    writeFileSync(`${files.certFile}.new`, second.cert)
    writeFileSync(`${files.keyFile}.new`, second.key, { mode: 0o600 })
    renameSync(`${files.keyFile}.new`, files.keyFile)
    renameSync(`${files.certFile}.new`, files.certFile)
    await toldOf(/new certificates are used/)
  })

  it.each<[string, () => void, RegExp]>([
    [
      'a certificate that is none',
      () => writeFileSync(files.certFile, 'what is this'),
      /certFile: got .*no certificate/,
    ],
    ['half a certificate', () => writeFileSync(files.certFile, first.cert.subarray(0, 300)), /certFile: got/],
    [
      'a key of another certificate',
      () => writeFileSync(files.keyFile, second.key),
      /keyFile: got .*KEY_VALUES_MISMATCH/,
    ],
    ['a key that is none', () => writeFileSync(files.keyFile, 'secret words'), /keyFile: got/],
    ['no key', () => rmSync(files.keyFile), /keyFile: got .*cannot be read \(ENOENT\)/],
    [
      'roots of which one is broken',
      () => writeFileSync(files.caFile, Buffer.concat([clientsRoot.cert, othersRoot.cert.subarray(0, 200)])),
      /caFile: got/,
    ],
    ['no roots', () => writeFileSync(files.caFile, ''), /caFile: got .*no certificate/],
  ])('that are %s change nothing, and the log says why', async (_what, spoil, why) => {
    const { serial } = await clientOf().ask('/healthz')
    spoil()
    const line = await toldOf(/kept as they were/)
    expect(line).toMatch(why)
    expect(line).not.toMatch(/secret words|PRIVATE KEY/)
    expect((await clientOf().ask('/healthz')).serial).toBe(serial)
  })

  it('do not lower the version', async () => {
    use(second)
    identity.reload()
    expect(await outcomeOf(as(udm))).toBe(OK)
    expect(await outcomeOf({ ...as(udm), maxVersion: 'TLSv1.2' })).toBe('ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION')
  })

  it('with the same roots let connections of before last', async () => {
    const client = clientOf()
    await client.ask('/healthz')
    use(second)
    identity.reload()
    expect((await client.ask('/healthz')).connection).toBe('keep-alive')
  })

  it('with other roots are asked of everybody: no session of before is resumed, no connection of before lasts', async () => {
    const client = clientOf()
    const before = await client.ask('/crypto/health-check')
    const session = await sessionOf(as(udm))
    expect(await resumed(session)).toBe(true)

    writeFileSync(files.caFile, othersRoot.cert)
    identity.reload()
    expect(await resumed(session)).toBe(false)
    const last = await client.ask('/crypto/health-check')
    expect([last.status, last.connection, last.socket === before.socket]).toEqual([401, 'close', true])
    expect(last.body).toMatchObject({ error: 'invalid user', detail: expect.stringContaining('not believed any more') })
    await expect(client.ask('/crypto/health-check')).rejects.toBeInstanceOf(Error)
    expect(await outcomeOf(as(maker.signed(othersRoot, '/CN=new')))).toBe(OK)
  })

  it('with other roots do nothing more for a token on a connection whose certificate they do not believe', async () => {
    const client = clientOf()
    const token = await harness.token('carried', await harness.add('carried', 'udm'))
    const headers = { authorization: `Bearer ${token}` }
    expect((await client.ask('/crypto/health-check', headers)).status).toBe(200)
    writeFileSync(files.caFile, othersRoot.cert)
    identity.reload()
    expect((await client.ask('/crypto/health-check', headers)).status).toBe(401)
  })

  it('with more roots than before serve what a connection of before asks last', async () => {
    const between = maker.intermediate(clientsRoot, '/CN=Between')
    const far = maker.signed(between, '/O=Core/CN=udm')
    const [near, distant] = [clientOf(), clientOf({ ...far, cert: Buffer.concat([far.cert, between.cert]) })]
    for (const client of [near, distant]) expect((await client.ask('/crypto/health-check')).status).toBe(200)
    writeFileSync(files.caFile, Buffer.concat([othersRoot.cert, clientsRoot.cert]))
    identity.reload()
    ahead += HANDSHAKE_MS + 1
    for (const client of [near, distant]) {
      const last = await client.ask('/crypto/health-check')
      expect([last.status, last.connection]).toEqual([200, 'close'])
    }
    for (const client of [near, distant]) expect((await client.ask('/crypto/health-check')).status).toBe(200)
    // of the same name, but another key
    writeFileSync(files.caFile, Buffer.concat([othersRoot.cert, maker.root('/CN=Clients').cert]))
    identity.reload()
    for (const client of [near, distant]) expect((await client.ask('/crypto/health-check')).status).toBe(401)
  })

  async function sessionOf(options: ConnectionOptions): Promise<Buffer> {
    const socket = connect({ host: '127.0.0.1', port, ca: root.cert, ...options })
    const [session] = (await once(socket, 'session')) as [Buffer]
    socket.destroy()
    return session
  }

  async function resumed(session: Buffer): Promise<boolean> {
    const socket: TLSSocket = connect({ host: '127.0.0.1', port, ca: root.cert, session, ...as(udm) })
    socket.on('error', () => {})
    await once(socket, 'secureConnect')
    const reused = socket.isSessionReused()
    socket.destroy()
    return reused
  }
})
