import { once } from 'node:events'
import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createSoftHsmToken } from 'testkit'
import { afterAll, describe, expect, it } from 'vitest'
import { initialise, logIn, runSsm, serviceEnv, urlIn } from './process.js'

const token = createSoftHsmToken({ keys: [{ label: 'KEY_ENCRYPTION_AES256' }] })
afterAll(() => token.remove())
const service = initialise(token)
const env = serviceEnv(token, service)
const tokenSettings = { SSM_PKCS_PATH: token.module, SSM_TOKEN_LABEL: token.label }

describe('the command', () => {
  it('explains itself on standard output', async () => {
    for (const args of [['--help'], ['-h'], ['help'], ['serve', '--help']]) {
      const { code, stdout, stderr } = await runSsm(args).ended
      expect([code, stderr]).toEqual([0, ''])
      for (const name of ['ssm serve', '--bind-addr', 'SSM_PIN_FILE', 'ssm init', 'Unix socket only', 'Exit status'])
        expect(stdout).toContain(name)
    }
  })

  it('says its version', async () => {
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
      version: string
    }
    expect(await runSsm(['--version']).ended).toMatchObject({ code: 0, stdout: `${version}\n`, stderr: '' })
  })

  it('serves with the PIN from the environment and the rest from flags', async () => {
    const { SSM_PIN_FILE: _, ...rest } = env
    const ssm = runSsm(['serve', '--bind-addr', '127.0.0.1:0', '--connect=lazy', '--max-sessions', '3'], {
      ...rest,
      SSM_PIN: token.pin,
    })
    const line = await ssm.firstLine
    expect(line).toMatch(/^ssm: listening on http:\/\/127\.0\.0\.1:\d+$/)
    expect(await (await fetch(`${urlIn(line)}/pool/stats`)).json()).toEqual({
      max_size: 3,
      current_size: 0,
      available: 0,
      in_use: 0,
    })
    const answer = await fetch(`${urlIn(line)}/crypto/encrypt`, {
      method: 'POST',
      headers: await logIn(urlIn(line), 'webconsole', service.passwords.webconsole),
      body: JSON.stringify({ key_label: 'KEY_ENCRYPTION_AES256', plain: 'c0ffee', encryption_algorithm: 5 }),
    })
    expect(answer.status).toBe(201)
    ssm.process.kill('SIGINT')
    const { code, stdout, stderr } = await ssm.ended
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout).toBe(`${line}\n`)
  })
})

describe('the command, run wrongly, ends with 2 and says what to do', () => {
  it.each<[string, string[], Record<string, string | undefined>, RegExp]>([
    ['no command', [], {}, /^ssm: command: got none, expected one of serve/],
    ['an unknown command', ['sreve'], {}, /"sreve".*did you mean serve\?/],
    [
      'an unknown flag',
      ['serve', '--pin-fil', 'x'],
      env,
      /^ssm: --pin-fil: got an unknown flag.*did you mean --pin-file\?/,
    ],
    ['a flag without its value', ['serve', '--bind-addr'], env, /^ssm: --bind-addr: got nothing, expected a value/],
    ['a flag twice', ['serve', '--connect=lazy', '--connect=eager'], env, /^ssm: --connect: got the flag twice/],
    ['an argument too many', ['serve', 'now'], env, /expected only flags/],
    [
      'two flags that mean the same',
      ['serve', '--listen', '[::1]:1', '--bind-addr', '[::1]:2'],
      env,
      /^ssm: --bind-addr: got --listen as well/,
    ],
    ['a flag of another command', ['serve', '--json'], env, /^ssm: --json: got a flag that ssm serve does not have/],
    ['a command without its verb', ['account'], env, /^ssm: ssm account: got nothing, expected one of add, disable/],
    ['a misspelt verb', ['account', 'lst'], env, /^ssm: ssm account: got "lst".*did you mean list\?/],
    [
      'a command without its argument',
      ['account', 'disable'],
      env,
      /^ssm: ssm account disable: got nothing, expected SERVICE_ID/,
    ],
    [
      'a role there is not',
      ['account', 'add', 'amf', '--role', 'amf'],
      env,
      /^ssm: --role: got "amf", expected one of udm, webconsole/,
    ],
    [
      'a data folder that is not there',
      ['serve', '--data', '/nowhere'],
      env,
      /^ssm: --data: got \/nowhere, .*ENOENT.*made by: ssm init/,
    ],
    [
      'no data folder',
      ['serve'],
      { ...env, ...tokenSettings, SSM_DATA: undefined },
      /^ssm: SSM_DATA: got nothing, expected .*ssm init --data DIR/,
    ],
    [
      'a misspelt variable',
      ['serve'],
      { ...env, SSM_PINFILE: 'x' },
      /^ssm: SSM_PINFILE: got an unknown variable.*did you mean SSM_PIN_FILE\?/,
    ],
    [
      'another address than loopback',
      ['serve', '--bind-addr', '0.0.0.0:8080'],
      env,
      /^ssm: --bind-addr: got .* without TLS/,
    ],
    [
      'a module that is not there',
      ['serve', '--pkcs-path', '/nowhere.so'],
      env,
      /^ssm: --pkcs-path: got \/nowhere\.so, which cannot be read/,
    ],
    [
      'a file that is no module',
      ['serve', '--pkcs-path', process.execPath],
      env,
      /MODULE_LOAD_FAILED\)\nssm: next: check the path/,
    ],
  ])('for %s', async (_what, args, environment, message) => {
    const { code, stdout, stderr } = await runSsm(args, environment).ended
    expect(stderr).toMatch(message)
    expect([code, stdout]).toEqual([2, ''])
    expect(stderr).not.toMatch(/\n +at /)
  })

  it('for no PIN', async () => {
    const { SSM_PIN_FILE: _, ...rest } = env
    const { code, stderr } = await runSsm(['serve'], rest).ended
    expect(stderr).toMatch(/^ssm: SSM_PIN_FILE: got nothing, expected .*or SSM_PIN\n$/)
    expect(code).toBe(2)
  })

  it('for a PIN file that everybody can read', async () => {
    const open = `${token.pinFile}.open`
    writeFileSync(open, token.pin)
    chmodSync(open, 0o644)
    const { code, stderr } = await runSsm(['serve'], { ...env, SSM_PIN_FILE: open }).ended
    expect(stderr).toMatch(/mode 0644, open to every user of this machine, expected .*chmod 600/)
    expect(code).toBe(2)
  })

  it('for a PIN on the command line, which it does not repeat', async () => {
    for (const args of [
      ['serve', '--pin', token.pin],
      ['serve', `--pin=${token.pin}`],
    ]) {
      const { code, stderr } = await runSsm(args, env).ended
      expect(code).toBe(2)
      expect(stderr).toMatch(/^ssm: --pin: got a PIN on the command line/)
      expect(stderr).not.toContain(token.pin)
    }
  })

  it('for a PIN that the token rejects, so that nobody starts it again and locks the token', async () => {
    const wrong = `${token.pinFile}.wrong`
    writeFileSync(wrong, 'not the PIN', { mode: 0o600 })
    const { code, stdout, stderr } = await runSsm(['serve'], { ...env, SSM_PIN_FILE: wrong }).ended
    expect(stderr).toMatch(/CREDENTIALS_REJECTED\)\nssm: next: correct the PIN/)
    expect(stderr).not.toContain('not the PIN')
    expect([code, stdout]).toEqual([2, ''])
  })
})

describe('the command, where something may pass, ends with 1 and says what to do', () => {
  it('for a token that is not there, naming those there are', async () => {
    const { code, stderr } = await runSsm(['serve', '--token-label', 'nobody'], env).ended
    expect(stderr).toMatch(/nobody[^]*"?test"?[^]*TOKEN_NOT_FOUND\)\nssm: next: /)
    expect(code).toBe(1)
  })

  it.each<[string, string[], RegExp]>([
    [
      'an address that is another machine’s',
      ['--listen', '192.0.2.1:8080', '--send-secrets-unencrypted'],
      /EADDRNOTAVAIL[^]*ssm: next: this machine has no such address: choose one that it has with --bind-addr\n$/,
    ],
    [
      'a socket in a folder that is not there',
      ['--listen', 'unix:/nowhere/ssm.sock'],
      /EACCES[^]*\/nowhere\/ssm\.sock\nssm: next: make its folder, and let the user that runs this write in it\n$/,
    ],
    [
      'a socket whose path is a file’s',
      ['--listen', `unix:${token.pinFile}`],
      /EADDRINUSE[^]*ssm: next: another program listens there, or it is no socket: stop that or move it away, or choose another path\n$/,
    ],
  ])('for %s', async (_what, args, expected) => {
    const { code, stdout, stderr } = await runSsm(['serve', ...args], env).ended
    expect(stderr).toMatch(expected)
    expect([code, stdout]).toEqual([1, ''])
  })

  it('for a program that is not installed, in a line and without a trace', async () => {
    const data = `${token.directory}/without-tools`
    const { code, stdout, stderr } = await runSsm(['init', '--data', data], { PATH: '/nowhere' }).ended
    expect(stderr).toMatch(/^ssm: softhsm2-util could not make the token \(ENOENT\): install script, .*\n$/)
    expect([code, stdout]).toEqual([1, ''])
  })

  it('for a folder that cannot be made', async () => {
    const { code, stdout, stderr } = await runSsm(['init', '--data', `${token.pinFile}/data`], {}).ended
    expect(stderr).toMatch(/^ssm: ENOTDIR: .*\nssm: next: correct what the message names and start again\n$/)
    expect([code, stdout]).toEqual([1, ''])
  })

  it('for an address that is taken', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    const address = other.address()
    const port = typeof address === 'object' ? address?.port : undefined
    const { code, stdout, stderr } = await runSsm(['serve', '--bind-addr', `127.0.0.1:${port}`], env).ended
    other.close()
    expect(stderr).toMatch(/EADDRINUSE[^]*ssm: next: another program listens there/)
    expect([code, stdout]).toEqual([1, ''])
  })
})
