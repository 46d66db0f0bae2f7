import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Client, createClient } from 'pkcs11-pool'
import type { SoftHsmToken } from 'testkit'
import { Accounts } from '../src/accounts/accounts.js'
import { KeptHeads } from '../src/audit/kept-heads.js'
import type { Role } from '../src/auth/actions.js'
import { Authentication } from '../src/auth/authentication.js'
import { type App, type AppOptions, buildApp, type Problem } from '../src/index.js'
import { createServiceKeys } from '../src/init/token-keys.js'
import type { AuditOptions } from '../src/plugins/audit.js'
import { openStore, type Store } from '../src/store/store.js'

/** The application with authentication, over a real token and a real store. */
export interface AuthHarness {
  app: App
  client: Client
  store: Store
  accounts: Accounts
  failures: Problem[]
  /** lets the clock of caches and limits go on, in milliseconds; tokens have the time of day */
  advance(ms: number): void
  /** makes an account and gives its password */
  add(serviceId: string, role: Role): Promise<string>
  /** logs in and gives the token */
  token(serviceId: string, password: string): Promise<string>
  /** a request with a token, or with another Authorization header */
  ask(
    method: 'GET' | 'POST',
    url: string,
    token?: string,
    body?: object,
  ): Promise<{ status: number; body: Record<string, unknown>; headers: Record<string, unknown> }>
  close(): Promise<void>
}

/**
 * @param openAudit where requests are written down; nowhere unless given
 * @param options what the application is told beside
 * @param place where the store is; a SQLite file of its own unless given
 */
export async function startAuthHarness(
  token: SoftHsmToken,
  openAudit?: (client: Client, store: Store, kept: KeptHeads) => Promise<AuditOptions>,
  options: Pick<AppOptions, 'config' | 'hosts' | 'tls'> = {},
  place?: string,
): Promise<AuthHarness> {
  const directory = mkdtempSync(join(tmpdir(), 'ssm-auth-'))
  const client = await createClient({
    module: token.module,
    token: { label: token.label },
    pin: { file: token.pinFile },
  })
  await createServiceKeys(client)
  const store = await openStore(place ?? join(directory, 'ssm.sqlite'))
  const accounts = new Accounts(store)
  const failures: Problem[] = []
  let ahead = 0
  const audit = await openAudit?.(client, store, new KeptHeads(client, join(directory, 'heads')))
  const app = buildApp({
    ...options,
    client,
    audit,
    authentication: new Authentication(client, store, () => performance.now() + ahead),
    onFailure: (problem) => failures.push(problem),
  })
  const ask: AuthHarness['ask'] = async (method, url, token, body) => {
    const response = await app.inject({
      method,
      url,
      headers: {
        ...(token !== undefined && { authorization: token.includes(' ') ? token : `Bearer ${token}` }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(body !== undefined && { payload: JSON.stringify(body) }),
    })
    return { status: response.statusCode, body: response.json(), headers: response.headers }
  }
  return {
    app,
    client,
    store,
    accounts,
    failures,
    advance: (ms) => {
      ahead += ms
    },
    add: (serviceId, role) => accounts.add(serviceId, role),
    token: async (serviceId, password) => {
      const { status, body } = await ask('POST', '/login', undefined, { service_id: serviceId, password })
      if (status !== 200) throw new Error(`the login was answered with ${status}`)
      return String(body.token)
    },
    ask,
    close: async () => {
      await app.close()
      await client.close()
      await store.destroy()
      rmSync(directory, { recursive: true })
    },
  }
}
