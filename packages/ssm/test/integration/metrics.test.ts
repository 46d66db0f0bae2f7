import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { connect } from 'node:net'
import type { AddressInfo } from 'node:net'
import { useSoftHsmToken } from 'testkit/vitest'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { AuditLog } from '../../src/audit/audit-log.js'
import { AuditStore } from '../../src/audit/audit-store.js'
import { serviceEvent } from '../../src/audit/entry.js'
import { type AuthHarness, startAuthHarness } from '../auth-harness.js'
import { faultsOf, readExposition, type Series } from '../exposition.js'

const token = useSoftHsmToken({ keys: [{ label: 'KEY_ENCRYPTION_AES256' }] })
let harness: AuthHarness
let log: AuditLog
let url: string
let bearer: { webconsole: string; udm: string }

beforeAll(async () => {
  harness = await startAuthHarness(token, async (client, store, kept) => {
    log = await AuditLog.open({ store: new AuditStore(store), client, kept, chain: 'main', onFailure: () => {} })
    return { log, failClosed: 'changes' }
  })
  url = await harness.app.listen({ host: '127.0.0.1', port: 0 })
  const passwords = { webconsole: await harness.add('webconsole', 'webconsole'), udm: await harness.add('udm', 'udm') }
  bearer = {
    webconsole: await harness.token('webconsole', passwords.webconsole),
    udm: await harness.token('udm', passwords.udm),
  }
})
afterAll(async () => {
  await log.close()
  await harness.close()
})

async function scrape(): Promise<{ text: string; series: Series }> {
  const answer = await fetch(`${url}/metrics`)
  expect(answer.status).toBe(200)
  expect(answer.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8')
  const text = await answer.text()
  return { text, series: readExposition(text) }
}

function post(path: string, body: unknown, role: 'webconsole' | 'udm' = 'webconsole'): Promise<Response> {
  return fetch(url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${bearer[role]}` },
    body: JSON.stringify(body),
  })
}

const encryption = { key_label: 'KEY_ENCRYPTION_AES256', plain: 'c0ffee', encryption_algorithm: 5 }

describe('GET /metrics', () => {
  it('is Prometheus’ text, by its rules and with names by its conventions', async () => {
    const { text } = await scrape()
    expect(faultsOf(text)).toEqual([])
    const promtool = spawnSync('promtool', ['check', 'metrics'], { input: text, encoding: 'utf8' })
    // Debian's package starts a server where it is installed, so it is used where it is there and not installed for this
    if (promtool.error === undefined) expect([promtool.status, promtool.stderr]).toEqual([0, ''])
  })

  it('counts requests, operations, problems and batches by what was asked for and what became of it', async () => {
    const before = (await scrape()).series
    await post('/crypto/encrypt', encryption)
    await post('/crypto/encrypt', { ...encryption, encryption_algorithm: 1 })
    await post('/crypto/encrypt', encryption, 'udm')
    await post('/crypto/batch', {
      operations: [
        { operation: 'encrypt', ...encryption },
        { operation: 'decrypt', key_label: 'KEY_ENCRYPTION_AES256', id: 77, cipher: '00', encryption_algorithm: 5 },
        { operation: 'none' },
      ],
    })
    const { series } = await scrape()
    const grown = (name: string) => (series.get(name) ?? 0) - (before.get(name) ?? 0)
    expect({
      created: grown('ssm_http_requests_total{method="POST",route="/crypto/encrypt",status="201"}'),
      refused: grown('ssm_http_requests_total{method="POST",route="/crypto/encrypt",status="400"}'),
      forbidden: grown('ssm_http_requests_total{method="POST",route="/crypto/encrypt",status="403"}'),
      timed: grown('ssm_http_request_duration_seconds_count{method="POST",route="/crypto/encrypt"}'),
      encrypted: grown('ssm_operations_total{action="ENCRYPT_DATA",outcome="done"}'),
      encryptRefused: grown('ssm_operations_total{action="ENCRYPT_DATA",outcome="refused"}'),
      decryptRefused: grown('ssm_operations_total{action="DECRYPT_DATA",outcome="refused"}'),
      unsupported: grown('ssm_problems_total{code="UNSUPPORTED_ALGORITHM"}'),
      validation: grown('ssm_problems_total{code="VALIDATION_FAILED"}') > 0,
    }).toEqual({
      created: 1,
      refused: 1,
      forbidden: 1,
      timed: 3,
      encrypted: 2,
      encryptRefused: 2,
      decryptRefused: 1,
      unsupported: 1,
      validation: true,
    })
    expect(grown('ssm_session_wait_seconds_count')).toBeGreaterThanOrEqual(2)
  })

  it('counts logins that succeeded, failed, and came too often', async () => {
    const before = (await scrape()).series
    const logins = []
    for (let attempt = 0; attempt < 6; attempt++) logins.push(await post('/login', { service_id: 'x', password: 'no' }))
    expect(logins.map(({ status }) => status)).toEqual([401, 401, 401, 401, 401, 429])
    const { series } = await scrape()
    const grown = (result: string) => {
      const name = `ssm_logins_total{result="${result}"}`
      return (series.get(name) ?? 0) - (before.get(name) ?? 0)
    }
    expect([grown('succeeded'), grown('failed'), grown('limited')]).toEqual([0, 5, 1])
    expect(series.get('ssm_logins_total{result="succeeded"}')).toBe(2)
  })

  it('shows the pool, the token, the key cache and the audit', async () => {
    const { series } = await scrape()
    const { maxSize } = harness.client.stats()
    const of = (name: string) => series.get(`${name}{token="test"}`)
    expect(of('pkcs11_pool_max_size')).toBe(maxSize)
    expect(of('pkcs11_pool_current_size')).toBe((of('pkcs11_pool_available') ?? 0) + (of('pkcs11_pool_in_use') ?? 0))
    expect([of('pkcs11_pool_up'), of('pkcs11_pool_breaker_open'), of('pkcs11_pool_logins_total')]).toEqual([1, 0, 1])
    expect(of('pkcs11_pool_handle_cache_misses_total')).toBeGreaterThan(0)
    expect(series.get('ssm_token_state{state="ok"}')).toBe(1)
    expect(series.get('ssm_token_state{state="down"}')).toBe(0)
    expect(series.get('ssm_audit_writable')).toBe(1)
    expect(series.get('ssm_audit_entries_total')).toBeGreaterThan(0)
    expect(series.get('ssm_audit_lost_entries_total')).toBe(0)
    // the request for the figures themselves
    expect(series.get('ssm_http_requests_in_flight')).toBe(1)
  })

  it('has no more series for paths, methods and keys that clients make up, and shows none of them', async () => {
    await post('/crypto/encrypt', encryption)
    await fetch(`${url}/made-up-0`)
    const before = (await scrape()).series
    for (let n = 1; n <= 20; n++) {
      await fetch(`${url}/made-up-${n}?x=${n}`)
      await fetch(`${url}/made-up-${n}`, { method: 'PROPFIND' })
      await post('/crypto/get-data-keys', { key_label: `made-up-${n}` })
      await fetch(`${url}/metrics?made-up=${n}`)
    }
    const { text, series } = await scrape()
    expect(text).not.toContain('made-up')
    const names = [...series.keys()]
      .filter((name) => !before.has(name))
      .map((name) => name.replace(/_bucket.*|_(sum|count){.*/, ''))
    // one route and one method more, with their problems
    expect(new Set(names).size).toBeLessThan(8)
    expect(series.get('ssm_http_requests_total{method="GET",route="unknown",status="404"}')).toBe(21)
  })

  it('counts a client that went away before its answer, and its request is not under way any more', async () => {
    const name = 'ssm_http_requests_total{method="POST",route="/crypto/encrypt",status="aborted"}'
    const { port } = harness.app.server.address() as AddressInfo
    const socket = connect(port, '127.0.0.1')
    const head = `POST /crypto/encrypt HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${bearer.webconsole}\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{`
    const seen = once(harness.app.server, 'request')
    socket.write(head)
    await seen
    const before = (await scrape()).series
    expect(before.get('ssm_http_requests_in_flight')).toBe(2)
    const [, response] = (await seen) as [unknown, ServerResponse]
    const closed = once(response, 'close')
    socket.destroy()
    await closed
    const { series } = await scrape()
    expect((series.get(name) ?? 0) - (before.get(name) ?? 0)).toBe(1)
    expect(series.get('ssm_http_requests_in_flight')).toBe(1)
  })
})

describe('the operator’s figures', () => {
  const ask = async (path: string, remoteAddress: string, role?: 'webconsole' | 'udm') => {
    const headers = role === undefined ? {} : { authorization: `Bearer ${bearer[role]}` }
    const answer = await harness.app.inject({ method: 'GET', url: path, remoteAddress, headers })
    return answer.statusCode
  }

  it.each(['/metrics', '/pool/stats'])(
    'of %s are for this machine, and from elsewhere for the web console',
    async (path) => {
      expect(await ask(path, '127.0.0.1')).toBe(200)
      expect(await ask(path, '::ffff:127.0.0.1')).toBe(200)
      expect(await ask(path, '192.0.2.1')).toBe(401)
      expect(await ask(path, '192.0.2.1', 'udm')).toBe(403)
      expect(await ask(path, '192.0.2.1', 'webconsole')).toBe(200)
      const forged = { 'x-forwarded-for': '127.0.0.1', forwarded: 'for=127.0.0.1' }
      const answer = await harness.app.inject({ method: 'GET', url: path, remoteAddress: '192.0.2.1', headers: forged })
      expect(answer.statusCode).toBe(401)
    },
  )

  it('are not written into the audit', async () => {
    const scraped = await fetch(`${url}/metrics`)
    const encrypted = await post('/crypto/encrypt', encryption)
    await log.recordDurably(serviceEvent('MARK', new Date()))
    const rows = await harness.store.selectFrom('audit_entries').select('entry').execute()
    const written = rows.map(({ entry }) => (JSON.parse(entry) as { request_id: string | null }).request_id)
    expect(written).toContain(encrypted.headers.get('x-request-id'))
    expect(written).not.toContain(scraped.headers.get('x-request-id'))
  })
})
