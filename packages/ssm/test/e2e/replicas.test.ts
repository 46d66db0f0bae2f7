import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { createSoftHsmToken } from 'testkit'
import { usePostgres } from 'testkit/vitest'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { type Balancer, haproxy, startBalancer } from './haproxy.js'
import { initialise, logIn, runSsm, type Ssm, serviceEnv, urlIn } from './process.js'

const postgres = await usePostgres()
const BLOCK = '00112233445566778899aabbccddeeff'
const WORKERS = 8

const token = createSoftHsmToken({ keys: [{ label: 'KEY_ENCRYPTION_AES256' }] })
afterAll(() => token.remove())

/** What two replicas are started with; the second joined what the first had made. */
let envs: Record<'a' | 'b', Record<string, string>>
let passwords: Record<string, string>
let secondPasswords: Record<string, string>
/** all that was written by any of them */
const written: string[] = []

beforeAll(() => {
  if (postgres === undefined) return
  const database = { SSM_DATABASE: postgres.createDatabase() }
  const first = initialise(token, 'a', database)
  const second = initialise(token, 'b', database)
  ;({ passwords } = first)
  secondPasswords = second.passwords
  const more = { ...database, SSM_DRAIN_DELAY_MS: '2000' }
  envs = { a: { ...serviceEnv(token, first), ...more }, b: { ...serviceEnv(token, second), ...more } }
})

async function serve(place: 'a' | 'b'): Promise<Ssm & { url: string }> {
  const ssm = runSsm(['serve'], envs[place])
  void ssm.ended.then(({ stdout, stderr }) => written.push(stdout, stderr))
  return { ...ssm, url: urlIn(await ssm.firstLine) }
}

async function stop(...services: Ssm[]): Promise<void> {
  for (const { process } of services) process.kill('SIGTERM')
  for (const { ended } of services) {
    const { code, stderr } = await ended
    // whoever asks whether it is ready is told why not, and so is the log
    expect([code, stderr.replaceAll(/^ssm: HSM_UNAVAILABLE( \(.*\))?: the service is stopping\n/gm, '')]).toEqual([
      0,
      '',
    ])
  }
}

/** A key under one label and id, and when it was there, by a clock that ticks at every event. */
interface Version {
  value: Buffer
  askedFor: number
  there: number
  deletionAsked: number
  gone: number
}

const opened = ({ value }: Version, cipher: string) => {
  const decipher = createDecipheriv('aes-256-ecb', value, null).setAutoPadding(false)
  return decipher.update(cipher, 'hex', 'hex') + decipher.final('hex')
}
const sealed = ({ value }: Version) => {
  const cipher = createCipheriv('aes-256-ecb', value, null).setAutoPadding(false)
  return cipher.update(BLOCK, 'hex', 'hex') + cipher.final('hex')
}

describe.runIf(postgres !== undefined)('two replicas', () => {
  it('have the accounts that the first of them made', () => {
    expect(Object.keys(passwords)).toEqual(['udm', 'webconsole'])
    expect(secondPasswords).toEqual({})
  })

  it('never serve a key that the other deleted or replaced', async () => {
    const services = [await serve('a'), await serve('b')]
    const urls = services.map(({ url }) => url)
    const headers = await logIn(urls[0]!, 'webconsole', passwords.webconsole)
    const ask = async (url: string, method: string, path: string, body: object) => {
      const answer = await fetch(url + path, { method, headers, body: JSON.stringify(body) })
      return { status: answer.status, body: (await answer.json()) as Record<string, unknown> }
    }
    let ticks = 0
    const versions: Version[] = []
    const appear = async (url: string, method: 'POST' | 'PUT') => {
      const version = { value: randomBytes(32), askedFor: ++ticks, there: 0, deletionAsked: Infinity, gone: Infinity }
      const key = { key_label: 'K4_AES', id: 1, key_value: version.value.toString('hex'), key_type: 'AES' }
      const replaced = versions.at(-1)
      if (method === 'PUT') replaced!.deletionAsked = version.askedFor
      versions.push(version)
      expect((await ask(url, method, '/crypto/store-key', key)).status).toBe(method === 'PUT' ? 200 : 201)
      version.there = ++ticks
      if (method === 'PUT') replaced!.gone = version.there
    }
    const results: { sent: number; answered: number; cipher: string; status: number; body: Record<string, unknown> }[] =
      []
    const decrypt = async (url: string) => {
      const sent = ++ticks
      const cipher = sealed(versions.findLast(({ there }) => there > 0)!)
      const body = { key_label: 'K4_AES', id: 1, cipher, iv: '', encryption_algorithm: 1 }
      const answer = await ask(url, 'POST', '/crypto/decrypt', body)
      results.push({ ...answer, sent, cipher, answered: ++ticks })
    }

    await appear(urls[0]!, 'POST')
    const load = { stopped: false }
    const workers = Array.from({ length: WORKERS }, async (_, worker) => {
      while (!load.stopped) await decrypt(urls[worker % 2]!)
    })
    try {
      for (let rotation = 0; rotation < 4; rotation++) {
        const [here, there] = rotation % 2 === 0 ? urls : urls.toReversed()
        // both have used the key, and so know where it is
        for (const url of urls) await decrypt(url)
        if (rotation % 3 === 2) {
          await appear(here!, 'PUT')
        } else {
          const version = versions.at(-1)!
          version.deletionAsked = ++ticks
          expect((await ask(here!, 'DELETE', '/crypto/store-key', { key_label: 'K4_AES', id: 1 })).status).toBe(200)
          version.gone = ++ticks
          for (const url of urls) await decrypt(url)
          await appear(there!, 'POST')
        }
        for (const url of urls) await decrypt(url)
      }
    } finally {
      load.stopped = true
      await Promise.all(workers)
    }
    const count = { right: 0, missing: 0 }
    for (const { sent, answered, cipher, status, body } of results) {
      const throughout = versions.some((version) => version.there < sent && answered < version.deletionAsked)
      const possible = versions.filter((version) => version.askedFor < answered && sent < version.gone)
      if (throughout) expect([status, body]).toEqual([200, { plain: BLOCK }])
      else if (status === 200) expect(possible.map((version) => opened(version, cipher))).toContain(body.plain)
      else expect([status, body.error]).toEqual([404, 'KEY_NOT_FOUND'])
      if (body.plain === BLOCK) count.right++
      if (status === 404) count.missing++
    }
    expect(count.right).toBeGreaterThan(12)
    expect(count.missing).toBeGreaterThanOrEqual(6)
    await stop(...services)
  })

  it.runIf(haproxy !== undefined)(
    'are restarted one after the other behind a balancer without a failed request, and refuse an account that was disabled',
    async () => {
      const balancer: Balancer = await startBalancer()
      onTestFinished(() => balancer.stop())
      const running = { a: await serve('a'), b: await serve('b') }
      for (const place of ['a', 'b'] as const) await balancer.use(place, running[place].url)
      const headers = await logIn(running.a.url, 'webconsole', passwords.webconsole)
      const failed: unknown[] = []
      let served = 0
      const load = { stopped: false }
      const round = async () => {
        const plain = randomBytes(20).toString('hex')
        const key = { key_label: 'KEY_ENCRYPTION_AES256', encryption_algorithm: 5 }
        const encrypted = await balancer.send('POST', '/crypto/encrypt', headers, { ...key, plain })
        if (encrypted.status !== 201) return failed.push(encrypted)
        const { cipher, iv, id } = JSON.parse(encrypted.body) as Record<string, unknown>
        const decrypted = await balancer.send('POST', '/crypto/decrypt', headers, { ...key, cipher, iv, id })
        if (decrypted.body !== JSON.stringify({ plain })) return failed.push(decrypted)
        return (served += 2)
      }
      const workers = Array.from({ length: WORKERS }, async () => {
        while (!load.stopped) await round().catch((error: unknown) => failed.push(error))
      })
      for (const place of ['a', 'b'] as const) {
        await stop(running[place])
        running[place] = await serve(place)
        await balancer.use(place, running[place].url)
      }
      load.stopped = true
      await Promise.all(workers)
      expect(failed).toEqual([])
      expect(served).toBeGreaterThan(100)

      const udm = await logIn(running.a.url, 'udm', passwords.udm)
      const statusAt = async (place: 'a' | 'b') =>
        (await fetch(`${running[place].url}/crypto/health-check`, { headers: udm })).status
      expect([await statusAt('a'), await statusAt('b')]).toEqual([200, 200])
      expect((await runSsm(['account', 'disable', 'udm'], envs.a).ended).code).toBe(0)
      // the time it may take is in the tests of the account directory, by a clock of their own
      await expect.poll(() => statusAt('a'), { timeout: 10_000 }).toBe(401)
      await expect.poll(() => statusAt('b'), { timeout: 10_000 }).toBe(401)
      await stop(running.a, running.b)
    },
    60_000,
  )

  it('have an audit each, which are verified together, and nobody was shown the password of the database', async () => {
    const verified = await runSsm(['audit', 'verify'], envs.b).ended
    expect([verified.code, verified.stderr]).toEqual([0, ''])
    const chains = verified.stdout.trimEnd().split('\n')
    // each has one of its service and one of the commands on its data folder
    expect(chains).toHaveLength(4)
    for (const chain of chains)
      expect(chain).toMatch(/^ssm: chain [\da-f]{8}(\/cli)?: \d+ entries, all as they were written/)
    const exported = await runSsm(['audit', 'export'], envs.a).ended
    const wrong = { ...envs.a, SSM_DATABASE: envs.a.SSM_DATABASE!.replace('%2F', '%2Fnowhere%2F') }
    const away = await runSsm(['serve'], wrong).ended
    expect([away.code, away.stderr]).toEqual([1, expect.stringMatching(/^ssm: the database cannot be reached/)])
    const text = [...written, verified.stdout, exported.stdout, exported.stderr, away.stdout, away.stderr].join('')
    expect(text).not.toContain(postgres!.password)
    expect(text.length).toBeGreaterThan(1_000)
  })
})
