import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { loadConfig } from '../../src/config/config.js'
import { ConfigError } from '../../src/config/config-error.js'

const directory = mkdtempSync(join(tmpdir(), 'ssm-config-'))
const module = join(directory, 'module.so')
const pinFile = join(directory, 'pin')
writeFileSync(module, '')
writeFileSync(pinFile, 'secret', { mode: 0o600 })
afterAll(() => rmSync(directory, { recursive: true }))

const REQUIRED = { SSM_PKCS_PATH: module, SSM_TOKEN_LABEL: 'demo', SSM_PIN_FILE: pinFile }

function load(env: Record<string, string | undefined>, flags: Record<string, string> = {}) {
  return loadConfig(env, new Map(Object.entries(flags)))
}

function messageOf(env: Record<string, string | undefined>, flags: Record<string, string> = {}): string {
  try {
    load(env, flags)
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError)
    return (error as ConfigError).message
  }
  throw new Error('the configuration was accepted')
}

/** Does something as a user to whom the files of the test are closed. */
function asSomebodyElse(work: () => void): void {
  const isRoot = process.getuid?.() === 0
  if (isRoot) process.seteuid?.(65_534)
  else chmodSync(directory, 0o000)
  try {
    work()
  } finally {
    if (isRoot) process.seteuid?.(0)
    else chmodSync(directory, 0o700)
  }
}

describe('the configuration', () => {
  it('that is another user’s is named with what to do about it', () => {
    asSomebodyElse(() => {
      const expected =
        /cannot be read \(EACCES\), expected .*, open to the user that runs this: start it as the owner, or chown/
      expect(messageOf({ ...REQUIRED, SSM_DATA: directory })).toMatch(expected)
      expect(messageOf(REQUIRED)).toMatch(expected)
    })
  })

  it('has defaults for all but module, token and PIN', () => {
    expect(load(REQUIRED)).toEqual({
      data: undefined,
      database: undefined,
      drainDelayMs: 2_000,
      drainTimeoutMs: 10_000,
      pkcsPath: module,
      token: { label: 'demo' },
      pin: { file: pinFile },
      bindAddr: '127.0.0.1:8080',
      tls: undefined,
      certificateAccounts: {},
      sendSecretsUnencrypted: false,
      limits: {
        headersTimeoutMs: 10_000,
        requestTimeoutMs: 30_000,
        bodyLimitBytes: 1_048_576,
        maxRequestsWaiting: 10_000,
      },
      rateLimit: { requestsPerMin: 300_000, burstSize: 50_000 },
      corsOrigins: [],
      exposeSwaggerUi: true,
      maxSessions: 10,
      minSessions: 2,
      legacyAlgorithms: false,
      connect: 'eager',
      keyCache: true,
      auditFailClosed: 'changes',
      auditStream: undefined,
      instance: 'main',
    })
  })

  it('takes flags before the environment', () => {
    const config = load(
      { ...REQUIRED, SSM_MAX_SESSIONS: '5', SSM_CONNECT: 'eager' },
      { 'max-sessions': '7', connect: 'lazy', 'legacy-algorithms': 'true', 'key-cache': 'off' },
    )
    expect(config).toMatchObject({ maxSessions: 7, connect: 'lazy', legacyAlgorithms: true, keyCache: false })
  })

  it('keeps no session open by itself when it connects lazily', () => {
    expect(load({ ...REQUIRED, SSM_CONNECT: 'lazy' }).minSessions).toBe(0)
    expect(load({ ...REQUIRED, SSM_CONNECT: 'lazy', SSM_MIN_SESSIONS: '1' }).minSessions).toBe(1)
  })

  it('keeps no more sessions open than there may be', () => {
    expect(load({ ...REQUIRED, SSM_MAX_SESSIONS: '1' }).minSessions).toBe(1)
    expect(messageOf({ ...REQUIRED, SSM_MAX_SESSIONS: '3', SSM_MIN_SESSIONS: '4' })).toBe(
      'SSM_MIN_SESSIONS: got 4, expected at most SSM_MAX_SESSIONS, which is 3',
    )
  })

  it('selects the token by serial number or slot too', () => {
    const { SSM_TOKEN_LABEL: _, ...rest } = REQUIRED
    expect(load({ ...rest, SSM_TOKEN_SERIAL: 'abc' }).token).toEqual({ serial: 'abc' })
    expect(load({ ...rest, SSM_LOTS_NUMBER: '0' }).token).toEqual({ slot: 0 })
  })

  it('lets a flag of a group hide the whole group of the environment', () => {
    expect(load(REQUIRED, { 'token-serial': 'abc' }).token).toEqual({ serial: 'abc' })
  })

  it('takes the PIN from SSM_PIN by name and never reads it', () => {
    const { SSM_PIN_FILE: _, ...rest } = REQUIRED
    const env = Object.defineProperty({ ...rest }, 'SSM_PIN', {
      enumerable: true,
      get: () => {
        throw new Error('the PIN was read')
      },
    })
    expect(load(env).pin).toEqual({ env: 'SSM_PIN' })
  })

  it.each([
    [
      'a missing module path',
      { ...REQUIRED, SSM_PKCS_PATH: undefined },
      {},
      /^SSM_PKCS_PATH: got nothing, expected .*--pkcs-path/,
    ],
    [
      'a module that is not there',
      { ...REQUIRED, SSM_PKCS_PATH: '/nowhere.so' },
      {},
      /^SSM_PKCS_PATH: got \/nowhere\.so, which cannot be read \(ENOENT\)/,
    ],
    ['a module that is a directory', REQUIRED, { 'pkcs-path': directory }, /^--pkcs-path: got .*which is no file/],
    [
      'no token',
      { SSM_PKCS_PATH: module, SSM_PIN_FILE: pinFile },
      {},
      /^SSM_TOKEN_LABEL: got nothing, expected .*SSM_TOKEN_SERIAL/,
    ],
    [
      'two tokens',
      { ...REQUIRED, SSM_LOTS_NUMBER: '1' },
      {},
      /^SSM_TOKEN_LABEL: got SSM_TOKEN_LABEL and SSM_LOTS_NUMBER together/,
    ],
    [
      'two tokens by flag',
      REQUIRED,
      { 'token-label': 'a', 'lots-number': '1' },
      /^--token-label: got --token-label and --lots-number together/,
    ],
    [
      'no PIN',
      { SSM_PKCS_PATH: module, SSM_TOKEN_LABEL: 'demo' },
      {},
      /^SSM_PIN_FILE: got nothing, expected .*SSM_PIN/,
    ],
    ['two PINs', { ...REQUIRED, SSM_PIN: 'x' }, {}, /^SSM_PIN_FILE: got SSM_PIN_FILE and SSM_PIN together/],
    ['an empty value', { ...REQUIRED, SSM_BIND_ADDR: '' }, {}, /^SSM_BIND_ADDR: got nothing, expected a value/],
    [
      'a number that is none',
      { ...REQUIRED, SSM_MAX_SESSIONS: '1e1' },
      {},
      /^SSM_MAX_SESSIONS: got "1e1", expected an integer from 1 to 4096$/,
    ],
    ['too small a number', { ...REQUIRED, SSM_MAX_SESSIONS: '0' }, {}, /expected an integer from 1/],
    ['a wrong choice', { ...REQUIRED, SSM_CONNECT: 'later' }, {}, /^SSM_CONNECT: got "later", expected eager or lazy$/],
    ['a wrong switch', { ...REQUIRED, SSM_LEGACY_ALGORITHMS: 'yes' }, {}, /expected true or false$/],
    [
      'a misspelt variable',
      { ...REQUIRED, SSM_MAX_SESSION: '3' },
      {},
      /^SSM_MAX_SESSION: got an unknown variable, .*did you mean SSM_MAX_SESSIONS\?$/,
    ],
    [
      'a misspelt flag',
      REQUIRED,
      { 'bind-adr': 'x' },
      /^--bind-adr: got an unknown flag, .*did you mean --bind-addr\?$/,
    ],
  ])('refuses %s, naming the setting, what it got and what it expected', (_what, env, flags, message) => {
    expect(messageOf(env, flags as Record<string, string>)).toMatch(message)
  })

  it('refuses a PIN on the command line without repeating it', () => {
    const message = messageOf(REQUIRED, { pin: '123456' })
    expect(message).toContain('--pin-file or SSM_PIN')
    expect(message).not.toContain('123456')
  })

  it.each([0o604, 0o644, 0o602])('refuses a PIN file of mode %o, which every user can reach', (mode) => {
    const file = join(directory, `pin-${mode}`)
    writeFileSync(file, 'secret')
    chmodSync(file, mode)
    expect(messageOf({ ...REQUIRED, SSM_PIN_FILE: file })).toMatch(
      /^SSM_PIN_FILE: got .* open to every user .*chmod 600/,
    )
  })

  it('refuses a PIN file that is not there', () => {
    expect(messageOf({ ...REQUIRED, SSM_PIN_FILE: '/nowhere/pin' })).toMatch(
      /^SSM_PIN_FILE: got \/nowhere\/pin, which cannot be read/,
    )
    expect(messageOf({ ...REQUIRED, SSM_PIN_FILE: directory })).toMatch(/^SSM_PIN_FILE: got a directory/)
  })
})

describe('the address to listen on', () => {
  it.each(['127.0.0.1:8080', '127.1.2.3:0', '[::1]:443', 'localhost:65535', 'unix:/run/ssm.sock'])(
    'may be %s',
    (bindAddr) => {
      expect(load({ ...REQUIRED, SSM_BIND_ADDR: bindAddr }).bindAddr).toBe(bindAddr)
    },
  )

  it.each([
    '0.0.0.0:8080',
    '[::]:8080',
    ':8080',
    '192.168.1.5:80',
    'example.org:80',
    '127.example.org:80',
    '[::ffff:1.2.3.4]:80',
  ])('may be %s with TLS, or in words that hurt, and not else', (bindAddr) => {
    const given = { ...REQUIRED, SSM_BIND_ADDR: bindAddr }
    expect(messageOf(given)).toMatch(
      /^SSM_BIND_ADDR: got .* without TLS, expected a loopback address .* would travel in the clear; set isHttps: true/,
    )
    const tls = { SSM_IS_HTTPS: 'true', SSM_CERT_FILE: '/a', SSM_KEY_FILE: '/b' }
    expect(load({ ...given, ...tls })).toMatchObject({ bindAddr, tls: { certFile: '/a', keyFile: '/b' } })
    expect(load({ ...given, SSM_SEND_SECRETS_UNENCRYPTED: 'true' })).toMatchObject({ bindAddr, tls: undefined })
  })

  it.each(['8080', '127.0.0.1', '127.0.0.1:65536', '127.0.0.1:x', '::1:80', 'http://127.0.0.1:80', 'unix:ssm.sock'])(
    'may not be the malformed %s',
    (bindAddr) => {
      expect(messageOf({ ...REQUIRED, SSM_BIND_ADDR: bindAddr })).toMatch(
        /^SSM_BIND_ADDR: got ".*", expected (host:port|an absolute path)/,
      )
    },
  )
})

describe('TLS', () => {
  const tls = { ...REQUIRED, SSM_IS_HTTPS: 'true', SSM_CERT_FILE: '/a', SSM_KEY_FILE: '/b' }

  it('is files and accounts by certificates', () => {
    const more = { SSM_CA_FILE: '/c', SSM_CERTIFICATE_ACCOUNTS: '{"CN=udm,O=Core":"udm"}' }
    expect(load({ ...tls, ...more })).toMatchObject({
      tls: { certFile: '/a', keyFile: '/b', caFile: '/c' },
      certificateAccounts: { 'CN=udm,O=Core': 'udm' },
    })
  })

  it.each<[string, Record<string, string | undefined>, RegExp]>([
    [
      'without a certificate',
      { ...tls, SSM_CERT_FILE: undefined },
      /^SSM_IS_HTTPS: got true, expected certFile and keyFile/,
    ],
    ['without a key', { ...tls, SSM_KEY_FILE: undefined }, /^SSM_IS_HTTPS: got true, expected certFile and keyFile/],
    [
      'with accounts for certificates that nobody presents',
      { ...tls, SSM_CERTIFICATE_ACCOUNTS: '{"CN=udm":"udm"}' },
      /^certificateAccounts: got .* expected isHttps: true and a caFile/,
    ],
    [
      'with accounts that are no map',
      { ...tls, SSM_CA_FILE: '/c', SSM_CERTIFICATE_ACCOUNTS: '["udm"]' },
      /^SSM_CERTIFICATE_ACCOUNTS: got what is no map/,
    ],
    [
      'with accounts that are no texts',
      { ...tls, SSM_CA_FILE: '/c', SSM_CERTIFICATE_ACCOUNTS: '{"a":1}' },
      /^SSM_CERTIFICATE_ACCOUNTS: got what is no map/,
    ],
  ])('%s is refused', (_what, env, message) => {
    expect(messageOf(env)).toMatch(message)
  })
})

describe('what requests may take', () => {
  it('is limited as said', () => {
    const config = load({
      ...REQUIRED,
      SSM_HEADERS_TIMEOUT_MS: '500',
      SSM_REQUEST_TIMEOUT_MS: '600',
      SSM_BODY_LIMIT_BYTES: '2048',
      SSM_MAX_REQUESTS_WAITING: '7',
      SSM_RATE_LIMIT_REQUESTS_PER_MIN: '60',
      SSM_RATE_LIMIT_BURST_SIZE: '5',
      SSM_CORS_ALLOW_ORIGINS: 'https://a.example, http://localhost:3000',
    })
    expect(config).toMatchObject({
      limits: { headersTimeoutMs: 500, requestTimeoutMs: 600, bodyLimitBytes: 2048, maxRequestsWaiting: 7 },
      rateLimit: { requestsPerMin: 60, burstSize: 5 },
      corsOrigins: ['https://a.example', 'http://localhost:3000'],
    })
  })

  it('is not limited, and no page let in, where that is said', () => {
    const config = load({
      ...REQUIRED,
      SSM_RATE_LIMIT_ENABLED: 'false',
      SSM_CORS_ENABLED: 'false',
      SSM_CORS_ALLOW_ORIGINS: 'https://a.example',
    })
    expect(config).toMatchObject({ rateLimit: undefined, corsOrigins: [] })
  })

  it.each<[string, Record<string, string>, RegExp]>([
    [
      'headers that may come later than the request',
      { SSM_HEADERS_TIMEOUT_MS: '40000' },
      /^SSM_HEADERS_TIMEOUT_MS: got 40000, expected at most requestTimeoutMs, which is 30000$/,
    ],
    ['no requests', { SSM_RATE_LIMIT_BURST_SIZE: '0' }, /expected an integer from 1/],
    ['every origin', { SSM_CORS_ALLOW_ALL_ORIGINS: 'true' }, /^SSM_CORS_ALLOW_ALL_ORIGINS: got true, expected false/],
    ...[
      '*',
      'https://*.example',
      'https://a.example/',
      'https://a.example/x',
      'a.example',
      'null',
      'HTTPS://A.example',
      '',
    ].map((origin): [string, Record<string, string>, RegExp] => [
      `the origin ${JSON.stringify(origin)}`,
      { SSM_CORS_ALLOW_ORIGINS: `https://b.example,${origin}` },
      /^SSM_CORS_ALLOW_ORIGINS: got ".*", expected origins as browsers send them/,
    ]),
  ])('cannot be %s', (_what, env, message) => {
    expect(messageOf({ ...REQUIRED, ...env })).toMatch(message)
  })
})

describe('the database', () => {
  it.each([
    'postgres://ssm@%2Fvar%2Frun%2Fpostgresql/ssm',
    'postgresql:///ssm?host=/var/run/postgresql',
    'postgres://ssm:secret@127.0.0.1:5432/ssm',
    'postgres://ssm@[::1]/ssm',
    'postgres://ssm@db.example/ssm?sslmode=verify-full',
  ])('may be %s', (database) => {
    expect(load({ ...REQUIRED, SSM_DATABASE: database })).toMatchObject({ database })
  })

  it.each([
    ['mysql://ssm:sesame@127.0.0.1/ssm', /another scheme, expected postgres:/],
    ['postgres://ssm:sesame@127.0.0.1', /no name of a database/],
    ['postgres://ssm:sesame@db.example/ssm', /another machine, and nothing about TLS, expected \?sslmode=verify-full/],
  ])('may not be %s, and its password is not shown', (database, message) => {
    const text = messageOf({ ...REQUIRED, SSM_DATABASE: database })
    expect(text).toMatch(message)
    expect(text).not.toContain('sesame')
  })

  it('has no password on the command line', () => {
    const text = messageOf(REQUIRED, { database: 'postgres://ssm:sesame@127.0.0.1/ssm' })
    expect(text).toMatch(/^--database: got a password on the command line/)
    expect(text).not.toContain('sesame')
    const without = 'postgres://ssm@127.0.0.1/ssm'
    expect(load(REQUIRED, { database: without })).toMatchObject({ database: without })
  })

  it('with a password is in no file that everybody can read', () => {
    const file = join(directory, 'database.yaml')
    writeFileSync(file, 'database: postgres://ssm:sesame@127.0.0.1/ssm\n')
    chmodSync(file, 0o644)
    const text = messageOf({ ...REQUIRED, SSM_CONFIG: file })
    expect(text).toMatch(/open to every user of this machine/)
    expect(text).not.toContain('sesame')
    chmodSync(file, 0o600)
    expect(load({ ...REQUIRED, SSM_CONFIG: file }).database).toContain('sesame')
  })
})
