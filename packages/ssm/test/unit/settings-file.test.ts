import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { loadConfig } from '../../src/config/config.js'

const directory = mkdtempSync(join(tmpdir(), 'ssm-settings-'))
const file = join(directory, 'ssm.yaml')
writeFileSync(join(directory, 'module.so'), '')
writeFileSync(join(directory, 'pin'), 'secret', { mode: 0o600 })
afterAll(() => rmSync(directory, { recursive: true }))

const REQUIRED = 'pkcsPath: module.so\ntokenLabel: demo\npinFile: pin\n'

function load(text: string, env: Record<string, string> = {}, mode = 0o600) {
  rmSync(file, { force: true })
  writeFileSync(file, text, { mode })
  const notices: string[] = []
  const config = loadConfig({ SSM_CONFIG: file, ...env }, new Map(), (line) => notices.push(line))
  return { config, notices }
}

describe('a file of settings', () => {
  it('means its paths from its own folder, and counts after the environment', () => {
    const { config } = load(`${REQUIRED}maxSessions: 3\nlegacyAlgorithms: true\n`, { SSM_MAX_SESSIONS: '5' })
    expect(config).toMatchObject({
      pkcsPath: join(directory, 'module.so'),
      pin: { file: join(directory, 'pin') },
      maxSessions: 5,
      legacyAlgorithms: true,
    })
  })

  it('may hold a PIN as it is, its zeros included, where nobody else can read it', () => {
    const { config } = load('pkcsPath: module.so\nlotsNumber: 0\npin: 0012\n')
    expect(config).toMatchObject({ pin: { value: '0012' }, token: { slot: 0 } })
    expect(() => load('pkcsPath: module.so\nlotsNumber: 0\npin: 0012\n', {}, 0o644)).toThrow(
      /ssm\.yaml:3 pin: got .* with mode 0644, open to every user/,
    )
  })

  it('whose token is hidden by the environment’s is no contradiction', () => {
    expect(load(REQUIRED, { SSM_TOKEN_SERIAL: 'abc' }).config.token).toEqual({ serial: 'abc' })
  })

  it('of the Go service is read as it is', () => {
    const { config, notices } = load(
      `ssmName: x\nssmId: 1\nsocketPath: /tmp/s\npkcsPath: module.so\npin: 1234\nlotsNumber: 3\nbindAddr: 127.0.0.1:1\n` +
        `exposeSwaggerUi: true\nisHttps: false\ncertFile: a\nkeyFile: b\ncaFile: c\nmaxSessions: 10\nisSecure: true\n` +
        `mongodb:\n  url: x\nrateLimit:\n  enabled: true\n  requestsPerMin: 100\n  burstSize: 20\n  cleanupInterval: 5\n` +
        `cors:\n  enabled: true\n  allowAllOrigins: false\n  allowOrigins:\n    - https://a.example\n    - https://b.example\n`,
    )
    expect(config).toMatchObject({
      pin: { value: '1234' },
      token: { slot: 3 },
      bindAddr: '127.0.0.1:1',
      tls: undefined,
      rateLimit: { requestsPerMin: 100, burstSize: 20 },
      corsOrigins: ['https://a.example', 'https://b.example'],
    })
    expect(notices.map((line) => /:(\d+ \w+) has no effect: /.exec(line)?.[1])).toEqual([
      '3 socketPath',
      '15 mongodb',
      '10 certFile',
      '11 keyFile',
      '12 caFile',
    ])
  })

  it.each([
    'cors:\n  enabled: false\n  allowAllOrigins: true\n  allowOrigins: ["*"]\n  maxAge: 43200\n',
    'cors:\n  enabled: false\n  allowAllOrigins: false\n  allowOrigins: ["https://*.example"]\n',
    'cors:\n  enabled: true\n  allowOrigins: []\n',
    'cors:\n',
    'rateLimit:\n  enabled: false\n  requestsPerMin: 0\n  burstSize: 0\n',
    'isHttps: false\ncertFile: ""\nkeyFile: ""\ncaFile: ""\n',
  ])('of the Go service in which something is off starts the service, whatever stands beside that: %j', (text) => {
    expect(load(REQUIRED + text).config).toMatchObject({ corsOrigins: [], tls: undefined })
  })

  it('may name the certificates that stand for accounts, and the files of TLS from its own folder', () => {
    const { config, notices } = load(
      `${REQUIRED}isHttps: true\ncertFile: a.crt\nkeyFile: a.key\ncaFile: ca.crt\nbindAddr: 0.0.0.0:9000\n` +
        'certificateAccounts:\n  CN=udm,O=Core: udm\n  "CN=web console": webconsole\n',
    )
    expect(config).toMatchObject({
      bindAddr: '0.0.0.0:9000',
      tls: {
        certFile: join(directory, 'a.crt'),
        keyFile: join(directory, 'a.key'),
        caFile: join(directory, 'ca.crt'),
      },
      certificateAccounts: { 'CN=udm,O=Core': 'udm', 'CN=web console': 'webconsole' },
    })
    expect(notices).toEqual([])
  })

  it.each<[string, string, RegExp]>([
    [
      'an unknown key',
      `${REQUIRED}maxSession: 1\n`,
      /ssm\.yaml:4 maxSession: got an unknown key, .*did you mean maxSessions\?$/,
    ],
    ['a wrong value', `${REQUIRED}maxSessions: many\n`, /ssm\.yaml:4 maxSessions: got "many", expected an integer/],
    ['no value', `${REQUIRED}bindAddr:\n`, /ssm\.yaml:4 bindAddr: got nothing, expected a value/],
    ['a list', `${REQUIRED}bindAddr: [a]\n`, /ssm\.yaml:4 bindAddr: got a list or a map, expected one value/],
    ['a list of settings', '- a\n', /ssm\.yaml:1: got no map/],
    ['a key twice', `${REQUIRED}tokenLabel: x\n`, /ssm\.yaml:4: got a key a second time/],
    [
      'HTTPS alone',
      `${REQUIRED}isHttps: true\n`,
      /ssm\.yaml:4 isHttps: got true, expected certFile and keyFile beside it/,
    ],
    [
      'an unknown key in a section',
      `${REQUIRED}rateLimit:\n  burst: 1\n`,
      /ssm\.yaml:5 rateLimit\.burst: got an unknown key/,
    ],
    ['every origin', `${REQUIRED}cors:\n  allowAllOrigins: true\n`, /ssm\.yaml:5 cors\.allowAllOrigins: got true/],
    [
      'accounts that are no map',
      `${REQUIRED}certificateAccounts: [a]\n`,
      /ssm\.yaml:4 certificateAccounts: got no map/,
    ],
    ['another file', `${REQUIRED}config: x\n`, /ssm\.yaml:4 config: got an unknown key/],
    ['broken YAML', 'pin: "1234\n', /ssm\.yaml:\d: got what is no YAML/],
  ])('with %s is refused, naming file, line and key', (_what, text, message) => {
    expect(() => load(text)).toThrow(message)
  })

  it('that is broken is not quoted, because it may hold a PIN', () => {
    expect(() => load('pin: "1234\n')).not.toThrow(/1234/)
  })

  it('that is not there is named', () => {
    expect(() => loadConfig({ SSM_CONFIG: '/nowhere.yaml' }, new Map())).toThrow(
      /^SSM_CONFIG: got \/nowhere\.yaml, which cannot be read \(ENOENT\)/,
    )
  })
})
