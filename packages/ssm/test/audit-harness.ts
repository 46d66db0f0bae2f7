import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Client, createClient } from 'pkcs11-pool'
import type { SoftHsmToken } from 'testkit'
import { AuditLog } from '../src/audit/audit-log.js'
import { AuditStore } from '../src/audit/audit-store.js'
import { type AuditEvent, serviceEvent } from '../src/audit/entry.js'
import { exportLines } from '../src/audit/export.js'
import { KeptHeads } from '../src/audit/kept-heads.js'
import { AuditSigner, readAuditKeys } from '../src/audit/signer.js'
import { verifyExport } from '../src/audit/verify-export.js'
import { type VerifiedChain, verifyStore } from '../src/audit/verify-store.js'
import { createServiceKeys } from '../src/init/token-keys.js'
import { openStore, type Store } from '../src/store/store.js'

/** An audit over a real store and a real token. */
export interface AuditHarness {
  client: Client
  store: Store
  kept: KeptHeads
  /** where {@link kept} has its files */
  heads: string
  failures: unknown[]
  open(chain?: string): Promise<AuditLog>
  event(action: string): AuditEvent
  /** @throws AuditBroken for the first chain that is not what was written */
  verify(): Promise<VerifiedChain[]>
  export(): Promise<string[]>
  verifyExport(lines: Iterable<string> | AsyncIterable<string>): ReturnType<typeof verifyExport>
  close(): Promise<void>
}

export async function startAuditHarness(token: SoftHsmToken, place: string): Promise<AuditHarness> {
  const client = await createClient({
    module: token.module,
    token: { label: token.label },
    pin: { file: token.pinFile },
  })
  await createServiceKeys(client)
  const store = await openStore(place)
  const audit = new AuditStore(store)
  const failures: unknown[] = []
  const heads = mkdtempSync(join(tmpdir(), 'ssm-heads-'))
  const kept = new KeptHeads(client, heads)
  // read once: an export is verified many times
  const keys = readAuditKeys(client)
  return {
    client,
    store,
    kept,
    heads,
    failures,
    open: (chain = 'main') =>
      AuditLog.open({ store: audit, client, kept, chain, onFailure: (error) => failures.push(error) }),
    event: (action) => ({ ...serviceEvent(action, new Date()), account: 'udm', status: 200 }),
    verify: async () => {
      const { verified, broken } = await verifyStore(audit, await keys, await kept.read())
      if (broken[0] !== undefined) throw broken[0]
      return verified
    },
    export: async () => {
      const lines: string[] = []
      for await (const line of exportLines(audit, new AuditSigner(client), await keys, await kept.read()))
        lines.push(line)
      return lines
    },
    verifyExport: async (lines) => verifyExport(lines, await keys),
    close: async () => {
      await client.close()
      await store.destroy()
      rmSync(heads, { recursive: true, force: true })
    },
  }
}
