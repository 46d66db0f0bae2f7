import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createSoftHsmToken } from 'testkit'
import { afterAll, describe, expect, it, onTestFinished } from 'vitest'
import { AuditStore } from '../../src/audit/audit-store.js'
import { GENESIS, link } from '../../src/audit/chain.js'
import { entryText, serviceEvent } from '../../src/audit/entry.js'
import { openStore } from '../../src/store/store.js'
import { CLI, initialise, logIn, runSsm, serviceEnv, urlIn } from './process.js'

const token = createSoftHsmToken({ keys: [{ label: 'KEY_ENCRYPTION_AES256' }] })
afterAll(() => token.remove())
const service = initialise(token)
const env = serviceEnv(token, service)
const exported = join(token.directory, 'export.jsonl')
const audit = (...args: string[]) => runSsm(['audit', ...args], env).ended

describe('ssm audit', () => {
  it('verifies what a service has written, and what it is writing', async () => {
    const ssm = runSsm(['serve'], env)
    const url = urlIn(await ssm.firstLine)
    const headers = await logIn(url, 'webconsole', service.passwords.webconsole)
    for (let id = 1; id <= 3; id++) {
      const body = JSON.stringify({ id: 10 + id, bits: 256 })
      expect((await fetch(`${url}/crypto/generate-aes-key`, { method: 'POST', headers, body })).status).toBe(201)
    }
    const running = await audit('verify')
    expect([running.code, running.stderr]).toEqual([0, ''])
    expect(running.stdout).toMatch(/^ssm: chain [\da-f]{8}: 7 entries, all as they were written, /)
    ssm.process.kill('SIGTERM')
    expect(await ssm.ended).toMatchObject({ code: 0, stderr: '' })
    const stopped = await audit('verify')
    expect([stopped.code, stopped.stderr]).toEqual([0, ''])
    expect(stopped.stdout).toMatch(
      /: 8 entries, all as they were written, all of them signed\n.*\/cli: 3 entries, all as they were written, all of them signed\n$/,
    )
  })

  it('exports an entry a line, which verifies with the key of the data folder alone', async () => {
    const { code, stdout, stderr } = await audit('export')
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout.trimEnd().split('\n')).toHaveLength(11)
    writeFileSync(exported, stdout)
    const key = join(service.data, 'audit-public-key.pem')
    for (const args of [
      ['--public-key', key],
      ['--data', service.data],
    ]) {
      const verified = await runSsm(['audit', 'verify', '--file', exported, ...args]).ended
      expect([verified.code, verified.stderr]).toEqual([0, ''])
      expect(verified.stdout).toMatch(
        /8 entries, .*\n.*\/cli: 3 entries, .*\nssm: signed with the key [\w-]{43}, which .* holds\n$/,
      )
      expect(verified.stdout).toContain(`which ${key} holds`)
    }
  })

  it('verifies with the key that an export brings where there is no other, and says what that is worth', async () => {
    const verify = (file: string) => runSsm(['audit', 'verify', '--file', file]).ended
    const { code, stdout, stderr } = await verify(exported)
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout).toMatch(
      /8 entries, .*\n.*\/cli: 3 entries, .*\nssm: signed with the key [\w-]{43}, which the export itself brings: /,
    )

    const text = readFileSync(exported, 'utf8')
    const lines = text.trimEnd().split('\n')
    const broken = {
      'changed in an entry': text.replace('"key_id":12', '"key_id":13'),
      'signed by another key than it brings': text.replace(/\\"n\\":\\"./, String.raw`\"n\":\"A`),
      'cut off': `${lines.slice(0, -1).join('\n')}\n`,
      empty: '',
    }
    for (const [how, changed] of Object.entries(broken)) {
      expect(changed).not.toBe(text)
      writeFileSync(`${exported}.broken`, changed)
      const found = await verify(`${exported}.broken`)
      expect([how, found.code, found.stdout]).toEqual([how, 1, ''])
      expect(found.stderr).toMatch(/^ssm: the audit is not what was written: chain .*, entry \d+: /)
    }
  })

  it('ends with 1 and names the entry where an export was changed', async () => {
    const changed = readFileSync(exported, 'utf8').replace('"key_id":12', '"key_id":13')
    writeFileSync(`${exported}.changed`, changed)
    const { code, stdout, stderr } = await audit('verify', '--file', `${exported}.changed`)
    expect([code, stdout]).toEqual([1, ''])
    expect(stderr).toMatch(/^ssm: the audit is not what was written: chain [\da-f]{8}, entry 6: it was changed/)
  })

  it('is not gone on with where its end was cut off: serve says so and what to do, and what was found stays found', async () => {
    const own = createSoftHsmToken()
    onTestFinished(() => own.remove())
    const cut = initialise(own)
    const cutEnv = serviceEnv(own, cut)
    const serve = async (more: Record<string, string> = {}) => {
      const ssm = runSsm(['serve'], { ...cutEnv, ...more })
      const ended = ssm.ended
      if (
        await ssm.firstLine.then(
          () => true,
          () => false,
        )
      )
        ssm.process.kill('SIGTERM')
      return ended
    }
    expect(await serve()).toMatchObject({ code: 0, stderr: '' })
    const store = await openStore(join(cut.data, 'ssm.sqlite'))
    for (const table of ['audit_entries', 'audit_heads'] as const)
      await store.deleteFrom(table).where('seq', '>', 2).where('chain', 'not like', '%/cli').execute()
    await store.destroy()

    const refused = await serve()
    expect([refused.code, refused.stdout]).toEqual([2, ''])
    expect(refused.stderr).toMatch(
      /^ssm: the audit is not what was written: chain [\da-f]{8}, entry 3: it is missing, .*\nssm: next: .*SSM_INSTANCE/,
    )
    expect((await serve()).stderr).toBe(refused.stderr)
    expect(await serve({ SSM_INSTANCE: 'after' })).toMatchObject({ code: 0, stderr: '' })
    const { code, stdout, stderr } = await runSsm(['audit', 'verify'], cutEnv).ended
    expect([code, stderr]).toEqual([1, refused.stderr.split('\n', 1)[0] + '\n'])
    expect(stdout).toMatch(/^ssm: chain after: 2 entries, all as they were written, all of them signed$/m)
  })

  it('does not take an export that another key signed for one of the key it was given', async () => {
    const other = createSoftHsmToken()
    const { data } = initialise(other)
    const args = ['audit', 'verify', '--file', exported, '--public-key', join(data, 'audit-public-key.pem')]
    const { code, stderr } = await runSsm(args).ended
    other.remove()
    expect(code).toBe(1)
    expect(stderr).toMatch(/signed by another key/)
  })

  it.each([
    [3, ['verify', '--file', '/nowhere'], /ENOENT/],
    [3, ['verify', '--database', 'postgres:///nothing?host=/nowhere'], /cannot be reached/],
    [2, ['verify', '--file', exported, '--public-key', '/nowhere'], /^ssm: --public-key: got \/nowhere \(ENOENT\)/],
    [2, ['verify', '--file', exported, '--public-key', CLI], /^ssm: --public-key: got .* \(not readable\)/],
    [2, ['verify', '--public-key', '/nowhere'], /^ssm: --public-key: got it alone, expected --file EXPORT beside it/],
  ])('ends with %i, which is not 1, where it could not look: %j', async (status, args, message) => {
    const { code, stderr } = await audit(...args)
    expect([code, stderr]).toEqual([status, expect.stringMatching(message)])
  })

  it('verifies an export that is larger than the memory that it has', async () => {
    const store = await openStore(join(service.data, 'ssm.sqlite'))
    const chain = 'bulk'
    let { seq, hash } = GENESIS
    for (let page = 0; page < 40; page++) {
      const entries = Array.from({ length: 1_000 }, () => {
        const entry = entryText(chain, ++seq, serviceEvent('DECRYPT_DATA', new Date()))
        hash = link(hash, entry)
        return { seq, entry, hash }
      })
      await new AuditStore(store).append(chain, entries)
    }
    await store.destroy()
    const { stdout } = await audit('export')
    writeFileSync(exported, stdout)
    expect(stdout.length).toBeGreaterThan(10e6)
    const verified = await runSsm(['audit', 'verify', '--file', exported], {
      ...env,
      NODE_OPTIONS: '--max-old-space-size=24',
    }).ended
    expect([verified.code, verified.stderr]).toEqual([0, ''])
    expect(verified.stdout).toContain('chain bulk: 40000 entries')
  }, 120_000)
})
