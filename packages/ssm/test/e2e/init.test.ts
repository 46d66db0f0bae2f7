import { execFileSync, type SpawnSyncReturns, spawnSync } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { createSoftHsmToken, findSoftHsm } from 'testkit'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CLI, logIn, runSsm, urlIn } from './process.js'

const root = mkdtempSync(join(tmpdir(), 'ssm-init-'))
afterAll(() => rmSync(root, { recursive: true }))
const data = join(root, 'data')
let first: SpawnSyncReturns<string>
let accounts: { service_id: string; role: string; password: string }[]

beforeAll(() => {
  first = spawnSync(process.execPath, [CLI, 'init', '--data', data, '--json'], { encoding: 'utf8' })
  accounts = (JSON.parse(first.stdout) as { accounts: typeof accounts }).accounts
})

const passwordOf = (serviceId: string) => accounts.find((each) => each.service_id === serviceId)?.password

/** Every file and folder, with its mode. */
function modesIn(folder: string): [string, number][] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) => [
    name,
    statSync(join(folder, name)).mode & 0o777,
  ])
}

async function serve(args: string[]) {
  const ssm = runSsm(['serve', '--listen', '127.0.0.1:0', ...args])
  return { ssm, url: urlIn(await ssm.firstLine) }
}

describe('ssm init', () => {
  it('gives one object with the account of each role', () => {
    expect(first).toMatchObject({ status: 0, stderr: '' })
    expect(JSON.parse(first.stdout)).toEqual({
      data,
      accounts: [
        { service_id: 'udm', role: 'udm', password: expect.stringMatching(/^[\w-]{32}$/) },
        { service_id: 'webconsole', role: 'webconsole', password: expect.stringMatching(/^[\w-]{32}$/) },
      ],
    })
  })

  it('makes a folder that nobody else can enter or read', () => {
    expect(statSync(data).mode & 0o777).toBe(0o700)
    const open = modesIn(data).filter(([name, mode]) => !name.startsWith('tokens/') && (mode & 0o077) !== 0)
    expect(open.filter(([name]) => name !== 'tokens')).toEqual([])
  })

  it('keeps no password, neither in the clear nor in its settings, and the PIN in its own file only', () => {
    const pin = readFileSync(join(data, 'pin'), 'utf8')
    for (const name of ['ssm.sqlite', 'ssm.yaml', 'softhsm2.conf']) {
      const content = readFileSync(join(data, name), 'latin1')
      for (const secret of [pin, ...accounts.map((each) => each.password)]) expect(content).not.toContain(secret)
    }
  })

  it('makes the service’s keys on the token, which never leave it', () => {
    const listed = execFileSync(
      'pkcs11-tool',
      ['--module', findSoftHsm(), '--token-label', 'ssm', '--login', '--pin', 'env:PIN', '--list-objects'],
      {
        encoding: 'utf8',
        env: {
          ...process.env,
          SOFTHSM2_CONF: join(data, 'softhsm2.conf'),
          PIN: readFileSync(join(data, 'pin'), 'utf8'),
        },
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    )
    for (const label of ['JWT_SIGNING_KEY', 'AUDIT_SIGNING_KEY']) {
      const key = new RegExp(
        `Private Key Object; RSA[^]*?label: +${label}[^]*?Access: +sensitive, always sensitive, never extractable`,
      )
      expect(listed).toMatch(key)
    }
    expect(listed).toMatch(
      /Secret Key Object; AES length 32\n +label: +ENCRYPTION_KEY_INTERNAL_AES256[^]*?never extractable/,
    )
  })

  it('shows the PINs to nobody who lists processes, their arguments and surroundings, while it makes the token', async () => {
    const bin = join(root, 'bin')
    mkdirSync(bin)
    const [real] = execFileSync('which', ['softhsm2-util'], { encoding: 'utf8' }).split('\n')
    const listing = join(root, 'processes')
    // stands before the real tool, and looks at everything that runs when it is called
    writeFileSync(
      join(bin, 'softhsm2-util'),
      `#!/bin/sh\ncat /proc/[0-9]*/cmdline /proc/[0-9]*/environ > '${listing}' 2> /dev/null\nexec ${real} "$@"\n`,
      { mode: 0o755 },
    )
    const watched = join(root, 'watched')
    const { code, stderr } = await runSsm(['init', '--data', watched], { PATH: `${bin}:${process.env.PATH}` }).ended
    expect([code, stderr]).toEqual([0, ''])
    const processes = readFileSync(listing, 'latin1')
    expect(processes.includes('softhsm2-util\0--init-token')).toBe(true)
    for (const file of ['pin', 'so-pin']) expect(processes).not.toContain(readFileSync(join(watched, file), 'utf8'))
  })

  it('refuses a folder that it made before, and changes nothing', async () => {
    const before = modesIn(data)
    const { code, stdout, stderr } = await runSsm(['init', '--data', data]).ended
    expect([code, stdout]).toEqual([2, ''])
    expect(stderr).toMatch(
      /^ssm: --data: got .*initialised already, expected .*nothing was changed.*ssm account reset-password\)\n$/,
    )
    expect(modesIn(data)).toEqual(before)
  })

  it('refuses a folder with anything else in it, and changes nothing', async () => {
    const full = join(root, 'full')
    mkdirSync(full)
    writeFileSync(join(full, 'photo.jpg'), '')
    const { code, stderr } = await runSsm(['init', '--data', full]).ended
    expect(code).toBe(2)
    expect(stderr).toMatch(/which is not empty and no data folder/)
    expect(readdirSync(full)).toEqual(['photo.jpg'])
  })

  it('leaves nothing in the folder where it fails', async () => {
    const failed = join(root, 'failed')
    const token = createSoftHsmToken()
    const { code } = await runSsm(['init', '--data', failed], {
      ...token.env,
      SSM_PKCS_PATH: token.module,
      SSM_TOKEN_LABEL: 'nobody',
      SSM_PIN_FILE: token.pinFile,
    }).ended
    expect(code).toBe(1)
    expect(readdirSync(failed)).toEqual([])
    token.remove()
  })

  it('shows the passwords to people too', async () => {
    const { code, stdout } = await runSsm(['init', '--data', join(root, 'people')]).ended
    expect(code).toBe(0)
    expect(stdout).toMatch(/\n {2}udm +udm +[\w-]{32}\n {2}webconsole +webconsole +[\w-]{32}\n/)
  })
})

describe('a service on a data folder', () => {
  it('lets in with the passwords that init gave, and only what the role may', async () => {
    const { ssm, url } = await serve(['--data', data])
    const webconsole = await logIn(url, 'webconsole', passwordOf('webconsole'))
    const udm = await logIn(url, 'udm', passwordOf('udm'))
    const generate = (headers: Record<string, string>) =>
      fetch(`${url}/crypto/generate-aes-key`, { method: 'POST', headers, body: JSON.stringify({ id: 1, bits: 256 }) })
    expect((await generate(udm)).status).toBe(403)
    expect((await generate(webconsole)).status).toBe(201)
    ssm.process.kill('SIGTERM')
    expect(await ssm.ended).toMatchObject({ code: 0, stderr: '' })
  })

  it('goes on with its keys and accounts when the folder has been moved', async () => {
    const moved = join(root, 'moved')
    renameSync(data, moved)
    const { ssm, url } = await serve(['--data', moved])
    await logIn(url, 'udm', passwordOf('udm'))
    ssm.process.kill('SIGTERM')
    await ssm.ended
    renameSync(moved, data)
  })

  it('takes a file of settings, the Go service’s too, and says what of it has no effect', async () => {
    const file = join(root, 'go.yaml')
    writeFileSync(
      file,
      `info:\n  version: 1.0.0\nconfiguration:\n  ssmName: SSM\n  ssmId: 7\n  data: data\n  bindAddr: 127.0.0.1:0\n  maxSessions: 4\n  isHttps: false\n` +
        `  mongodb:\n    url: mongodb://x\n`,
    )
    const ssm = runSsm(['serve', '--config', file])
    const url = urlIn(await ssm.firstLine)
    expect(await (await fetch(`${url}/pool/stats`)).json()).toMatchObject({ max_size: 4 })
    ssm.process.kill('SIGTERM')
    const { code, stderr } = await ssm.ended
    expect(code).toBe(0)
    expect(stderr).toBe(
      `ssm: ${file}:10 mongodb has no effect: accounts and audit live in the data folder here, in SQLite, or in PostgreSQL: set database\n`,
    )
  })

  it('is not started where others can enter the folder', async () => {
    chmodSync(data, 0o755)
    const { code, stderr } = await runSsm(['serve', '--data', data]).ended
    chmodSync(data, 0o700)
    expect(code).toBe(2)
    expect(stderr).toMatch(/with mode 0755, expected a folder only its owner can enter: chmod 700/)
  })
})

describe('ssm account', () => {
  const account = async (...args: string[]) => runSsm(['account', ...args, '--data', data]).ended

  it('adds, lists, disables and resets while the service runs, which knows at once or within 5 s', async () => {
    const { ssm, url } = await serve(['--data', data])
    const { stdout } = await account('add', 'amf-1', '--role', 'udm', '--json')
    const { password } = JSON.parse(stdout) as { password: string }
    const headers = await logIn(url, 'amf-1', password)
    const health = async (with_ = headers) => (await fetch(`${url}/crypto/health-check`, { headers: with_ })).status
    expect(await health()).toBe(200)

    expect((await account('disable', 'amf-1')).code).toBe(0)
    const list = JSON.parse((await account('list', '--json')).stdout) as { accounts: object[] }
    expect(list.accounts).toEqual([
      { service_id: 'amf-1', role: 'udm', disabled_at: expect.any(String), created_at: expect.any(String) },
      expect.objectContaining({ service_id: 'udm', disabled_at: null }),
      expect.objectContaining({ service_id: 'webconsole', disabled_at: null }),
    ])
    await expect(logIn(url, 'amf-1', password)).rejects.toThrow('answered with 401')
    await expect.poll(() => health(), { timeout: 10_000 }).toBe(401)

    const reset = await account('reset-password', 'amf-1', '--json')
    const fresh = (JSON.parse(reset.stdout) as { password: string }).password
    expect(await health(await logIn(url, 'amf-1', fresh))).toBe(200)
    expect(await health()).toBe(401)
    ssm.process.kill('SIGTERM')
    await ssm.ended
  })

  it('is written down: who changed which account', async () => {
    const exported = await runSsm(['audit', 'export', '--data', data]).ended
    const changes = exported.stdout
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as { entry: { action: string; account: string; subject?: string } }).entry)
      .filter(({ action }) => action.startsWith('ACCOUNT_'))
    const by = `cli:${userInfo().username}`
    expect(changes.map(({ action, subject, account }) => [action, subject, account])).toEqual([
      ['ACCOUNT_ADD', 'udm', by],
      ['ACCOUNT_ADD', 'webconsole', by],
      ['ACCOUNT_ADD', 'amf-1', by],
      ['ACCOUNT_DISABLE', 'amf-1', by],
      ['ACCOUNT_RESET_PASSWORD', 'amf-1', by],
    ])
    // the service that ended signed what the commands beside it wrote
    const verified = await runSsm(['audit', 'verify', '--data', data]).ended
    expect([verified.code, verified.stderr]).toEqual([0, ''])
    expect(verified.stdout).toMatch(/\/cli: 6 entries, all as they were written, all of them signed\n$/)
  })

  it.each([
    [['add', 'udm', '--role', 'udm'], /account udm is there already: choose another/],
    [['add', 'no spaces', '--role', 'udm'], /service id "no spaces": expected 1 to 64 letters/],
    [['disable', 'nobody'], /there is no account "nobody": ssm account list/],
    [['reset-password', 'nobody'], /there is no account "nobody"/],
  ])('%j ends with 2 and says what to do', async (args, message) => {
    const { code, stdout, stderr } = await account(...args)
    expect([code, stdout]).toEqual([2, ''])
    expect(stderr).toMatch(message)
  })
})

describe('ssm signing-key rotate', () => {
  it('is written down: who made and removed which keys', async () => {
    const rotated = await runSsm(['signing-key', 'rotate', '--revoke', '--data', data]).ended
    expect(rotated).toMatchObject({ code: 0, stderr: '' })
    const exported = await runSsm(['audit', 'export', '--data', data]).ended
    const changes = exported.stdout
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as { entry: Record<string, unknown> }).entry)
      .filter(({ action }) => String(action).startsWith('SIGNING_KEY_'))
    const of = { account: `cli:${userInfo().username}`, key_label: 'JWT_SIGNING_KEY' }
    expect(changes).toEqual([
      expect.objectContaining({ ...of, action: 'SIGNING_KEY_ADD', key_id: 2 }),
      expect.objectContaining({ ...of, action: 'SIGNING_KEY_REMOVE', key_id: 1 }),
    ])
  })
})

describe('a data folder without its store', () => {
  it.each([['account', 'list'], ['signing-key', 'rotate'], ['audit', 'verify'], ['audit', 'export'], ['serve']])(
    'is refused by %s %s, and no empty one is made',
    async (...command) => {
      const folder = join(root, command.join('-'))
      cpSync(data, folder, { recursive: true, filter: (file) => !/ssm\.sqlite/.test(file) })
      const { code, stdout, stderr } = await runSsm([...command, '--data', folder]).ended
      expect([code, stdout]).toEqual([2, ''])
      expect(stderr).toMatch(/^ssm: there is no \S+: ssm init makes it; check the data folder .* \(STORE_MISSING\)$/m)
      expect(readdirSync(folder).filter((name) => name.startsWith('ssm.sqlite'))).toEqual([])
    },
  )
})
