import { useSoftHsmToken } from 'testkit/vitest'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { AuditLog } from '../../src/audit/audit-log.js'
import { AuditStore } from '../../src/audit/audit-store.js'
import { serviceEvent } from '../../src/audit/entry.js'
import { exportLines } from '../../src/audit/export.js'
import { AuditSigner } from '../../src/audit/signer.js'
import { type AuthHarness, startAuthHarness } from '../auth-harness.js'

const hsm = useSoftHsmToken({ keys: [{ label: 'KEY_ENCRYPTION_AES256' }] })
let harness: AuthHarness
let log: AuditLog

beforeAll(async () => {
  harness = await startAuthHarness(hsm, async (client, store, kept) => {
    log = await AuditLog.open({ store: new AuditStore(store), client, kept, chain: 'main', onFailure: () => {} })
    return { log, failClosed: 'changes' }
  })
})
afterAll(async () => {
  await log.close()
  await harness.close()
})

const SQL = [
  "' OR '1'='1",
  "'; DROP TABLE accounts; --",
  "x', 'webconsole', '', 1, null, '', ''); --",
  'udm" OR ""="',
  "udm'--",
  'udm\u0000',
  'UDM',
  'udm ',
  '%',
  '___',
]

describe('words of SQL', () => {
  it('as the name of an account are nobody’s, and change no account', async () => {
    const password = await harness.add('udm', 'udm')
    const before = await harness.accounts.list()
    for (const name of SQL) {
      const { status, body } = await harness.ask('POST', '/login', undefined, { service_id: name, password })
      // a member of the wrong form is told so; whoever could be an account is none
      expect([status, body.error]).toEqual(status === 400 ? [400, 'VALIDATION_FAILED'] : [401, 'invalid user'])
    }
    expect(await harness.accounts.list()).toEqual(before)
    expect(await harness.token('udm', password)).toMatch(/^ey/)
  })

  it('and line ends in a label stand in the audit as they are, in an entry and a line of their own', async () => {
    const token = await harness.token('console', await harness.add('console', 'webconsole'))
    const labels = [
      ...SQL.filter((each) => !each.includes('\0')),
      'x\n{"seq":1,"account":"forged"}',
      'x\r\n\u2028\u001b[2J',
    ]
    for (const label of labels) {
      const { status } = await harness.ask('POST', '/crypto/get-key', token, { key_label: label, id: 0 })
      expect(status).toBe(404)
    }
    // written when those before it are
    await log.recordDurably(serviceEvent('MARK', new Date()))
    const lines: string[] = []
    for await (const line of exportLines(
      new AuditStore(harness.store),
      new AuditSigner(harness.client),
      new Map(),
      [],
    )) {
      lines.push(line)
    }
    for (const line of lines) expect(line.trimEnd()).not.toMatch(/\p{Cc}/u)
    const entries = lines.map((line) => (JSON.parse(line) as { entry: Record<string, unknown> }).entry)
    expect(entries.filter(({ action }) => action === 'GET_KEY').map((entry) => entry.key_label)).toEqual(labels)
  })
})
