import { createDecipheriv, createSecretKey, type KeyObject } from 'node:crypto'
import { type Client, type ClientOptions, createClient } from 'pkcs11-pool'
import type { SoftHsmToken } from 'testkit'
import { expect } from 'vitest'
import { type App, type AppOptions, buildApp, type Problem } from '../src/index.js'

/** The application over a real token, and what was reported to its operator. */
export interface Harness {
  app: App
  client: Client
  failures: Problem[]
  post(url: string, body: unknown): Promise<Answer>
  get(url: string): Promise<Answer>
  put(url: string, body: unknown): Promise<Answer>
  delete(url: string, body: unknown): Promise<Answer>
  send(method: 'GET' | 'POST' | 'PUT' | 'DELETE', url: string, body?: unknown): Promise<Answer>
  close(): Promise<void>
}

export interface Answer {
  status: number
  type: string
  headers: Record<string, unknown>
  body: Record<string, unknown>
  text: string
}

export async function startHarness(
  token: Pick<SoftHsmToken, 'module' | 'label' | 'pinFile'>,
  config: AppOptions['config'] = {},
  options: Partial<ClientOptions> = {},
): Promise<Harness> {
  const client = await createClient({
    module: token.module,
    token: { label: token.label },
    pin: { file: token.pinFile },
    keys: { cache: config.keyCache ?? true },
    ...options,
  })
  const failures: Problem[] = []
  const app = buildApp({ client, authentication: 'none', config, onFailure: (problem) => failures.push(problem) })
  const send = async (method: 'GET' | 'POST' | 'PUT' | 'DELETE', url: string, body?: unknown): Promise<Answer> => {
    const response = await app.inject({
      method,
      url,
      ...(body === undefined
        ? {}
        : {
            headers: { 'content-type': 'application/json' },
            payload: typeof body === 'string' ? body : JSON.stringify(body),
          }),
    })
    return {
      status: response.statusCode,
      type: String(response.headers['content-type']),
      headers: response.headers,
      body: JSON.parse(response.body) as Record<string, unknown>,
      text: response.body,
    }
  }
  return {
    app,
    client,
    failures,
    post: (url, body) => send('POST', url, body),
    get: (url) => send('GET', url),
    put: (url, body) => send('PUT', url, body),
    delete: (url, body) => send('DELETE', url, body),
    send,
    close: async () => {
      await app.close()
      await client.close()
    },
  }
}

/** Puts a secret key of known value on the token. */
export async function importKey(
  client: Client,
  key: { label: string; id: Uint8Array | number; value: Buffer; type?: 'CKK_AES' | 'CKK_DES3'; encrypt?: boolean },
): Promise<KeyObject> {
  await client.keys.import({
    CKA_CLASS: 'CKO_SECRET_KEY',
    CKA_KEY_TYPE: key.type ?? 'CKK_AES',
    CKA_TOKEN: true,
    CKA_PRIVATE: true,
    CKA_SENSITIVE: true,
    CKA_EXTRACTABLE: false,
    CKA_ENCRYPT: key.encrypt ?? true,
    CKA_DECRYPT: true,
    CKA_LABEL: key.label,
    CKA_ID: key.id,
    CKA_VALUE: key.value,
  })
  return createSecretKey(key.value)
}

/** What an answer's ciphertext decrypts to outside the token, padding checked and removed. */
export function decipher(algorithm: string, key: KeyObject, answer: Answer): string {
  const { cipher, iv } = answer.body as { cipher: string; iv: string }
  const decipher = createDecipheriv(algorithm, key, Buffer.from(iv, 'hex'))
  return decipher.update(cipher, 'hex', 'hex') + decipher.final('hex')
}

/** Checks that an answer is a problem in every part. */
export function expectProblem(answer: Answer, status: number, error: string, instance: string): void {
  expect(answer.body).toMatchObject({ status, error, instance })
  expect(answer.status).toBe(status)
  expect(answer.type).toMatch(/^application\/problem\+json/)
  expect(Object.keys(answer.body).sort()).toEqual(['detail', 'error', 'instance', 'status', 'title'])
}
