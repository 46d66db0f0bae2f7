import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { type IncomingMessage, request } from 'node:http'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createSoftHsmToken } from 'testkit'
import { afterAll, describe, expect, it, onTestFinished } from 'vitest'
import { CertificateMaker } from '../certificates.js'
import { TlsClient } from '../connections.js'
import { initialise, runSsm, serviceEnv, type Ssm, urlIn } from './process.js'

const token = createSoftHsmToken()
const folder = mkdtempSync(join(tmpdir(), 'ssm-listening-'))
afterAll(() => {
  token.remove()
  rmSync(folder, { recursive: true })
})
const service = initialise(token)
const maker = new CertificateMaker(folder)

/** Waits for a line on standard error. */
function toldOf(ssm: Ssm, pattern: RegExp): Promise<void> {
  let text = ''
  return new Promise((resolve) => {
    ssm.process.stderr?.on('data', (chunk) => {
      text += String(chunk)
      if (pattern.test(text)) resolve()
    })
  })
}

describe('ssm serve', () => {
  it('speaks TLS to clients with a certificate, and takes new certificates on SIGHUP', async () => {
    const root = maker.root('/CN=Root')
    const client = maker.signed(root, '/O=Core/CN=udm')
    const [certFile, keyFile] = [join(folder, 'now.crt'), join(folder, 'now.key')]
    const use = ({ cert, key }: { cert: Buffer; key: Buffer }) => {
      writeFileSync(certFile, cert)
      writeFileSync(keyFile, key, { mode: 0o600 })
    }
    use(maker.signed(root, '/CN=one'))
    const ssm = runSsm(['serve', '--is-https', '--cert-file', certFile, '--key-file', keyFile], {
      ...serviceEnv(token, service),
      SSM_CA_FILE: root.certFile,
      SSM_CERTIFICATE_ACCOUNTS: '{"CN=udm,O=Core":"udm"}',
      SSM_BIND_ADDR: '0.0.0.0:0',
    })
    const port = Number(/^ssm: listening on https:\/\/\S+:(\d+)$/.exec(await ssm.firstLine)?.[1])
    const ask = async () => {
      const connection = new TlsClient(port, { ca: root.cert, cert: client.cert, key: client.key })
      onTestFinished(() => connection.close())
      return connection.ask('/crypto/health-check')
    }
    const before = await ask()
    expect([before.status, before.body.status]).toEqual([200, 'OK'])
    use(maker.signed(root, '/CN=two'))
    const told = toldOf(ssm, /^ssm: new certificates are used from now on/m)
    ssm.process.kill('SIGHUP')
    await told
    expect((await ask()).serial).not.toBe(before.serial)
    ssm.process.kill('SIGTERM')
    expect((await ssm.ended).code).toBe(0)
  })

  it('listens on a Unix socket that its group may use, also where a killed one left it', async () => {
    const path = join(folder, 'ssm.sock')
    const env = { ...serviceEnv(token, service), SSM_BIND_ADDR: `unix:${path}` }
    const killed = runSsm(['serve'], env)
    expect(await killed.firstLine).toBe(`ssm: listening on unix:${path}`)
    killed.process.kill('SIGKILL')
    await killed.ended
    expect(existsSync(path)).toBe(true)

    const ssm = runSsm(['serve'], env)
    await ssm.firstLine
    expect((statSync(path).mode & 0o777).toString(8)).toBe('660')
    const post = request({
      socketPath: path,
      path: '/login',
      method: 'POST',
      headers: { 'content-type': 'application/json' },
    })
    post.end(JSON.stringify({ service_id: 'udm', password: service.passwords.udm }))
    const [response] = (await once(post, 'response')) as [IncomingMessage]
    response.resume()
    expect(response.statusCode).toBe(200)
    ssm.process.kill('SIGTERM')
    expect((await ssm.ended).code).toBe(0)
    expect(existsSync(path)).toBe(false)
  })

  it('keeps a thousand connections that come at once while it is busy with something else', async () => {
    // some systems keep fewer, whatever a service asks for
    const most = Math.min(1_000, Number(readFileSync('/proc/sys/net/core/somaxconn', 'utf8')))
    const ssm = runSsm(['serve'], serviceEnv(token, service))
    const { port } = new URL(urlIn(await ssm.firstLine))
    ssm.process.kill('SIGSTOP')
    const sockets = Array.from({ length: most }, () => connect({ host: '127.0.0.1', port: Number(port) }))
    onTestFinished(() => sockets.forEach((socket) => socket.destroy()))
    // of those that find no room, the system would not say so before the service goes on
    await Promise.all(sockets.map((socket) => once(socket, 'connect')))
    ssm.process.kill('SIGCONT')
    const [last] = sockets.slice(-1)
    last?.write('GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n')
    const [answer] = (await once(last as Socket, 'data')) as [Buffer]
    expect(String(answer)).toMatch(/^HTTP\/1\.1 200 /)
  })

  it('refuses plain HTTP on other addresses, unless it is told in words that hurt, and then says what that means', async () => {
    const env = { ...serviceEnv(token, service), SSM_BIND_ADDR: '0.0.0.0:0' }
    const refused = await runSsm(['serve'], env).ended
    expect(refused).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining('without TLS') })
    const ssm = runSsm(['serve', '--send-secrets-unencrypted'], env)
    expect(await ssm.firstLine).toMatch(/^ssm: listening on http:\/\//)
    ssm.process.kill('SIGTERM')
    expect((await ssm.ended).stderr).toMatch(
      /^ssm: plain HTTP on 0\.0\.0\.0:0: whoever sees the network reads passwords/,
    )
  })
})
