import { type ChildProcess, fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { pkcs11Tool, type TestToken } from 'testkit'
import { expect } from 'vitest'
import { type Client, createClient } from '../../src/index.js'
import { importRsa } from '../tokens/keys.js'

const PROGRAM = fileURLToPath(new URL('sharing-program.mjs', import.meta.url))
const PROCESSES = 2
const STEADY = 'steady'
const CONTESTED = 'contested'
const PIN = 'SHARED_TOKEN_PIN'

/** What each process does, by the names of sharing-program.mjs. */
export const OPERATIONS = ['batch', 'contested', 'decrypt', 'encrypt', 'own', 'sign']

/** What one process saw: see sharing-program.mjs. */
interface Report {
  right: Record<string, number>
  wrong: string[]
  failed: Record<string, number>
  unexpected: string[]
  abandoned: number
}

/**
 * Which keys the contested label may be answered with, written before and after each thing that is done to it. By a call: any from the
 * `oldest` before it to the `newest` after it; that there is none only if it was not there, or something was done, meanwhile.
 */
interface Contested {
  step: number
  oldest: number
  newest: number
  isThere: boolean
}

/**
 * Two processes use a token while pkcs11-tool lists it, makes keys, and puts one key after the other in the place of one label, `rounds`
 * times. Every answer is verified, by values that are known or by node:crypto.
 */
export async function shareToken(token: TestToken, rounds: number): Promise<Report[]> {
  const directory = mkdtempSync(join(tmpdir(), 'shared-token-'))
  const client = await open(token)
  const processes: ChildProcess[] = []
  try {
    const steady = await makeSteadyKeys(client)
    const values = Array.from({ length: rounds + 1 }, () => randomBytes(32).toString('hex'))
    const label = new ContestedLabel(token, directory, values)
    label.put()
    const contested = { label: CONTESTED, values, state: label.path }
    for (let made = 0; made < PROCESSES; made += 1) processes.push(fork(PROGRAM, { env: environment(token) }))
    const busy = processes.map((each) => once(each, 'message'))
    for (const each of processes) each.send({ options: optionsOf(token), steady, contested })
    expect(await Promise.all(busy)).toEqual(processes.map(() => ['busy', undefined]))
    for (let round = 0; round < rounds; round += 1) {
      runTool(token, ['--list-objects'])
      runTool(token, ['--keygen', '--key-type', 'AES:32', '--label', `made-${round}`])
      label.remove()
      // its place, and on some tokens its handle, is another's
      runTool(token, ['--keygen', '--key-type', 'AES:32', '--label', `placed-${round}`])
      label.put()
      runTool(token, ['--delete-object', '--type', 'secrkey', '--label', `made-${round}`])
    }
    const reports = processes.map((each) => once(each, 'message') as Promise<[Report]>)
    for (const each of processes) each.send('stop')
    return (await Promise.all(reports)).map(([report]) => report)
  } finally {
    for (const each of processes) each.kill('SIGKILL')
    await client.close()
    rmSync(directory, { recursive: true, force: true })
  }
}

/** What pkcs11-tool gives up at before it has done anything, where a busy token shows nothing of itself for a moment. */
const NOT_THERE = /No slots|C_(Login|OpenSession|GetTokenInfo|GetSlotList) failed/

function runTool(token: TestToken, args: string[]): void {
  for (;;) {
    try {
      pkcs11Tool(token, args)
      return
    } catch (error) {
      if (!NOT_THERE.test(String(error))) throw error
    }
  }
}

/** The one label whose key is destroyed and made anew. */
class ContestedLabel {
  readonly path: string
  readonly #state: Contested = { step: 0, oldest: 0, newest: -1, isThere: false }

  constructor(
    readonly token: TestToken,
    readonly directory: string,
    readonly values: readonly string[],
  ) {
    this.path = join(directory, 'state.json')
  }

  put(): void {
    const state = this.#state
    state.newest += 1
    this.#tell()
    const file = join(this.directory, 'value')
    writeFileSync(file, Buffer.from(this.values[state.newest] ?? '', 'hex'))
    const how = ['--type', 'secrkey', '--key-type', 'AES:32', '--usage-decrypt', '--label', CONTESTED]
    runTool(this.token, ['--write-object', file, ...how])
    state.isThere = true
    this.#tell()
  }

  remove(): void {
    const state = this.#state
    state.isThere = false
    this.#tell()
    runTool(this.token, ['--delete-object', '--type', 'secrkey', '--label', CONTESTED])
    state.oldest = state.newest + 1
    this.#tell()
  }

  #tell(): void {
    this.#state.step += 1
    writeFileSync(`${this.path}.next`, JSON.stringify(this.#state))
    renameSync(`${this.path}.next`, this.path)
  }
}

async function makeSteadyKeys(client: Client) {
  const aes = randomBytes(32)
  await client.keys.import({
    CKA_CLASS: 'CKO_SECRET_KEY',
    CKA_LABEL: STEADY,
    CKA_KEY_TYPE: 'CKK_AES',
    CKA_TOKEN: true,
    CKA_PRIVATE: true,
    CKA_ENCRYPT: true,
    CKA_DECRYPT: true,
    CKA_VALUE: aes,
  })
  const { key, publicKey } = await importRsa(client)
  const rsaId = Buffer.from(key.id as Uint8Array).toString('hex')
  return { label: STEADY, aes: aes.toString('hex'), rsaId, publicKey: publicKey.export({ format: 'jwk' }) }
}

/** Handles are kept for as long as they serve, and what is missing is looked for each time. */
function optionsOf({ module, label, initializeArgs }: TestToken) {
  return {
    module,
    token: { label },
    pin: { env: PIN },
    initializeArgs,
    pool: { maxSize: 4, operationTimeoutMs: 10_000 },
    keys: { ttlMs: 3_600_000, negativeTtlMs: 0 },
  }
}

function open(token: TestToken): Promise<Client> {
  return createClient({ ...optionsOf(token), pin: { value: token.pin } })
}

function environment(token: TestToken): NodeJS.ProcessEnv {
  return { ...process.env, ...token.env, [PIN]: token.pin }
}
