import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createSoftHsmToken, type SoftHsmToken } from 'testkit'
import { afterAll, describe, expect, it, onTestFinished } from 'vitest'
import { SETTINGS, type Setting, type SettingName } from '../../src/config/settings.js'
import { CertificateMaker } from '../certificates.js'
import { initialise, logIn, runSsm, serviceEnv, urlIn } from './process.js'

const token = createSoftHsmToken()
afterAll(() => token.remove())
const service = initialise(token)
const env = serviceEnv(token, service)
const folder = join(token.directory, 'settings')
mkdirSync(folder)
const file = join(folder, 'ssm.yaml')

interface Report {
  ok: boolean
  file: string | null
  data: string | null
  errors: { file: string | null; line: number | null; key: string | null; got: string; expected: string }[]
  missing: string[]
  notices: string[]
  sources: Record<string, string>
}

function write(text: string, mode = 0o600): string {
  writeFileSync(file, text)
  chmodSync(file, mode)
  return file
}

async function check(text: string, environment = {}): Promise<{ code: number | null; report: Report }> {
  const args = ['config', 'check', '--json', '--config', write(text)]
  const { code, stdout, stderr } = await runSsm(args, environment).ended
  expect(stderr).toBe('')
  return { code, report: JSON.parse(stdout) as Report }
}

const settings = (Object.entries(SETTINGS) as [SettingName, Setting][]).filter(([name]) => name !== 'config')

/** What the service uses of the file of the Go service, with the keys that the contract names. */
const goFile = ({ module, pin, slot }: SoftHsmToken) => `info:
  version: 1.0.0
  description: SSM initial configuration
logger:
  SSM:
    debugLevel: info
configuration:
  ssmName: SSM
  ssmId: 1
  socketPath: /tmp/ssm.sock
  pkcsPath: ${module}
  pin: "${pin}"
  lotsNumber: ${slot}
  bindAddr: 127.0.0.1:0
  exposeSwaggerUi: true
  isHttps: false
  maxSessions: 4
  isSecure: false
  mongodb:
    url: mongodb://localhost:27017
`

describe('ssm config check', () => {
  it('accepts what serve would, says so, and what is still to be given', async () => {
    const good = await runSsm(['config', 'check', '--config', write('maxSessions: 4\n')], env).ended
    expect(good).toMatchObject({ code: 0, stdout: `ssm: ${file}: no errors\n`, stderr: '' })
    const alone = await runSsm(['config', 'check', '--config', file]).ended
    expect(alone).toMatchObject({ code: 0, stdout: `ssm: ${file}: no errors\n` })
    expect(alone.stderr).toMatch(
      /^ssm: to serve, pkcsPath has to be given as well, here or by SSM_PKCS_PATH or --pkcs-path: /,
    )
    expect(alone.stderr).toMatch(/to serve, data has to be given as well/)
  })

  it('opens the files of TLS, and says of each what is wrong with it', async () => {
    const maker = new CertificateMaker(folder)
    const root = maker.root('/CN=root')
    const [good, other] = [maker.signed(root, '/CN=localhost'), maker.signed(root, '/CN=other')]
    const past = maker.ended('/CN=past')
    const text = (certFile: string, keyFile: string, caFile: string) =>
      `isHttps: true\ncertFile: ${certFile}\nkeyFile: ${keyFile}\ncaFile: ${caFile}\n`
    expect((await check(text(good.certFile, good.keyFile, root.certFile))).report.errors).toEqual([])

    const nowhere = join(folder, 'nowhere')
    const unreadable = await check(text(nowhere, nowhere, nowhere))
    expect(unreadable.code).toBe(2)
    expect(unreadable.report.errors).toMatchObject([
      { line: 2, key: 'certFile', got: `${nowhere}, which cannot be read (ENOENT)` },
      { line: 3, key: 'keyFile', got: `${nowhere}, which cannot be read (ENOENT)` },
      { line: 4, key: 'caFile', got: `${nowhere}, which cannot be read (ENOENT)` },
    ])
    const wrong = await check(text(good.keyFile, good.keyFile, good.keyFile))
    expect(wrong.report.errors.map(({ key, expected }) => [key, expected])).toEqual([
      ['certFile', expect.stringMatching(/^certificates in PEM/)],
      ['caFile', expect.stringMatching(/^certificates in PEM/)],
    ])
    const anothers = await check(text(good.certFile, other.keyFile, root.certFile))
    expect(anothers.report.errors).toMatchObject([
      { line: 3, key: 'keyFile', expected: expect.stringContaining(`of the certificate in ${good.certFile}`) },
    ])
    const ended = await check(text(past.certFile, past.keyFile, root.certFile))
    expect(ended.report.errors).toMatchObject([
      { line: 2, key: 'certFile', got: expect.stringMatching(/, which ended on \d{4}-/) },
    ])
  })

  it('names every error at once, each with file, line, key, what was got and what was expected', async () => {
    const text = `# settings
bindAdr: 127.0.0.1:1
bindAddr: everywhere
maxSessions: many
connect: [eager]
legacyAlgorithms: yes
keyCache:
instance: a b
pkcsPath: nowhere.so
pinFile: nowhere
tokenLabel: ssm
tokenSerial: c0ffee
`
    const { code, report } = await check(text, { SSM_MIN_SESIONS: '1' })
    expect(code).toBe(2)
    expect(report.ok).toBe(false)
    expect(report.errors.map(({ file: at, line, key, got }) => [at === file, line, key, got])).toEqual(
      expect.arrayContaining([
        [false, null, null, 'an unknown variable'],
        [true, 2, 'bindAdr', 'an unknown key'],
        [true, 3, 'bindAddr', '"everywhere"'],
        [true, 4, 'maxSessions', '"many"'],
        [true, 5, 'connect', 'a list or a map'],
        [true, 6, 'legacyAlgorithms', '"yes"'],
        [true, 7, 'keyCache', 'nothing'],
        [true, 8, 'instance', '"a b"'],
        [true, 9, 'pkcsPath', `${join(folder, 'nowhere.so')}, which cannot be read (ENOENT)`],
        [true, 10, 'pinFile', `${join(folder, 'nowhere')}, which cannot be read (ENOENT)`],
      ]),
    )
    expect(report.errors).toHaveLength(11)
    expect(report.errors.find(({ key }) => key === 'bindAdr')?.expected).toMatch(/did you mean bindAddr\?$/)
    expect(report.errors.find(({ got }) => got === 'an unknown variable')?.expected).toMatch(
      /did you mean SSM_MIN_SESSIONS\?$/,
    )

    const { stderr, stdout } = await runSsm(['config', 'check', '--config', write(text)]).ended
    expect(stdout).toBe('')
    expect(stderr).toContain(`ssm: ${file}:4 maxSessions: got "many", expected an integer from 1 to 4096\n`)
    expect(stderr).toMatch(/\nssm: .*ssm\.yaml: 10 errors\n$/)
  })

  it('names the variable or the flag that is wrong, with its key', async () => {
    const { report } = await check('maxSessions: 4\n', { SSM_MIN_SESSIONS: '5' })
    expect(report.errors).toMatchObject([{ file: null, line: null, key: 'minSessions', got: '5' }])
    const flagged = await runSsm(['config', 'check', '--json', '--config', file, '--connect', 'later']).ended
    expect((JSON.parse(flagged.stdout) as Report).errors).toMatchObject([{ key: 'connect', setting: '--connect' }])
  })

  it('says where each setting comes from, and never a value, which may be a secret', async () => {
    const { code, report } = await check(`pin: "0123"\nmaxSessions: 4\n`, { SSM_MAX_SESSIONS: '5' })
    expect(code).toBe(0)
    expect(report.sources).toEqual({ config: '--config', maxSessions: 'SSM_MAX_SESSIONS', pin: `${file}:1 pin` })
    expect(JSON.stringify(report)).not.toContain('0123')
  })

  it('refuses a PIN in a file that everybody can read, by its line', async () => {
    write('maxSessions: 4\npin: "0123"\n', 0o644)
    const { code, stderr } = await runSsm(['config', 'check', '--config', file]).ended
    expect(stderr).toMatch(/^ssm: .*ssm\.yaml:2 pin: got .* with mode 0644, open to every user of this machine/)
    expect(stderr).not.toContain('0123')
    expect(code).toBe(2)
  })

  it('ends with 2 without anything to check, and for a file that is not there', async () => {
    const nothing = await runSsm(['config', 'check']).ended
    expect(nothing).toMatchObject({ code: 2, stdout: '' })
    expect(nothing.stderr).toMatch(/^ssm: ssm config check: got nothing to check, expected --config FILE/)
    const nowhere = await runSsm(['config', 'check', '--config', '/nowhere.yaml']).ended
    expect(nowhere.code).toBe(2)
    expect(nowhere.stderr).toMatch(/^ssm: --config: got \/nowhere\.yaml, which cannot be read \(ENOENT\)/)
  })
})

describe('ssm config example', () => {
  it('explains every setting but the PIN, and passes the check as it is', async () => {
    const { code, stdout } = await runSsm(['config', 'example']).ended
    expect(code).toBe(0)
    for (const [name, { env: variable }] of settings.filter(([name]) => name !== 'pin')) {
      expect(stdout).toMatch(new RegExp(`^#${name}:`, 'm'))
      expect(stdout.replaceAll('\n# ', ' ')).toContain(`In the environment: ${variable}`)
    }
    expect(await check(stdout)).toMatchObject({ code: 0, report: { ok: true, notices: [] } })
  })

  it('puts in force what is given by flags, and passes the check with that', async () => {
    const data = service.data.replace(`${process.cwd()}/`, '')
    const { stdout } = await runSsm(['config', 'example', '--data', data, '--max-sessions=7', '--instance', '7']).ended
    const { code, report } = await check(stdout, { ...token.env, SSM_PIN: token.pin })
    expect(report).toMatchObject({ ok: true, data: service.data, missing: [] })
    expect(Object.keys(report.sources)).toEqual(expect.arrayContaining(['data', 'maxSessions', 'instance']))
    expect(code).toBe(0)
  })

  it('has examples that pass the check, each put in force by itself', async () => {
    const { stdout } = await runSsm(['config', 'example']).ended
    // what names a file is right only where there is one
    const lines = stdout.match(/^#[\w.]+: .*/gm) ?? []
    const values = lines.filter((line) => !/: \//.test(line)).map((line) => line.slice(1))
    expect(values.length).toBeGreaterThan(8)
    const exclusive = values.filter((line) => !/^(tokenSerial|lotsNumber):/.test(line))
    expect((await check(`${exclusive.join('\n')}\n`)).report.errors).toEqual([])
  })

  it('refuses what has no place in a file', async () => {
    const { code, stderr } = await runSsm(['config', 'example', '--config', 'x']).ended
    expect([code, stderr]).toEqual([
      2,
      'ssm: --config: got a setting that has no place in a file, expected any other\n',
    ])
  })
})

it('every setting has the variable that its key makes', () => {
  for (const [name, { env: variable }] of settings) {
    const made = name.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).replaceAll('.', '_')
    expect(variable).toBe(`SSM_${made.toUpperCase()}`)
  }
})

it('the Go service’s file makes a data folder and starts the service as it is', async () => {
  const other = createSoftHsmToken()
  onTestFinished(() => other.remove())
  const go = write(goFile(other))
  const data = join(other.directory, 'data')
  const rest = other.env

  const init = await runSsm(['init', '--config', go, '--data', data, '--json'], rest).ended
  expect(init.stderr).toContain('mongodb has no effect: accounts and audit live in the data folder here')
  const { accounts } = JSON.parse(init.stdout) as { accounts: { service_id: string; password: string }[] }
  expect(await runSsm(['config', 'check', '--config', go, '--data', data], rest).ended).toMatchObject({ code: 0 })

  const ssm = runSsm(['serve', '--config', go, '--data', data], rest)
  const url = urlIn(await ssm.firstLine)
  const password = accounts.find((each) => each.service_id === 'udm')?.password
  const answer = await fetch(`${url}/crypto/health-check`, { headers: await logIn(url, 'udm', password) })
  expect(await answer.json()).toEqual({ status: 'OK', message: 'Status is ok' })
  expect(await (await fetch(`${url}/pool/stats`)).json()).toMatchObject({ max_size: 4 })
  ssm.process.kill('SIGTERM')
  expect((await ssm.ended).code).toBe(0)
})
