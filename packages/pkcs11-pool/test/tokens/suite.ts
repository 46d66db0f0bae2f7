import { constants, type KeyObject, publicDecrypt, randomBytes } from 'node:crypto'
import { isInitialized, type TestToken } from 'testkit'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Client, type ClientOptions, createClient, CryptokiError, inspectModule } from '../../src/index.js'
import { rejection } from '../support/rejection.js'
import { LABELS, publicRsa, TestKeys } from './keys.js'
import { COLUMNS, type Column, FOREIGN, PROBES, type Probing, VENDOR_AES } from './probes.js'
import { isRecording, readRecord, type TokenFacts, writeRecord } from './recorded.js'

const WARNING_FLAGS = /^CKF_USER_PIN_(COUNT_LOW|FINAL_TRY|LOCKED)$/

/** What may be done to a token that is not thrown away afterwards. */
export interface SuiteOptions {
  /** whether a wrong PIN may be sent, once. @defaultValue true */
  mayFailLogin?: boolean
  /** whether what it tells of its open sessions is exact. @defaultValue false */
  countsSessions?: boolean
}

/**
 * What every token goes through. A token may answer a probe with a CKR, but never wrongly; with the version that was recorded, it has
 * to do what it did then.
 */
export function tokenSuite(id: string, token: TestToken, options: SuiteOptions = {}): void {
  const version = token.version()
  const recorded = readRecord(id)
  const isRecordedOne = !isRecording && version !== undefined && recorded?.version === version
  const results = Object.fromEntries(COLUMNS.map((column) => [column, {}])) as Record<Column, Record<string, string>>
  const facts: Partial<TokenFacts> = {}

  const connect = (options: Partial<ClientOptions> = {}): Promise<Client> => {
    const { module, label, pin, initializeArgs } = token
    // a TPM takes its time
    const pool = { maxSize: 8, operationTimeoutMs: 20_000 }
    return createClient({ module, token: { label }, pin: { value: pin }, initializeArgs, pool, ...options })
  }

  const holdsFact = <Name extends keyof TokenFacts>(name: Name, value: TokenFacts[Name]): void => {
    facts[name] = value
    if (isRecordedOne) expect(value).toEqual(recorded.facts[name])
  }

  let probing: Probing
  beforeAll(async () => {
    token.createKeys([
      { ...FOREIGN, type: 'rsa-2048' },
      { label: VENDOR_AES, type: 'aes-256', id: 8 },
    ])
    const client = await connect()
    probing = { token, client, keys: new TestKeys(client, token, { label: VENDOR_AES }) }
  })
  afterAll(async () => {
    await probing.client.close()
    if (isRecording && isComplete(facts)) writeRecord(id, { name: token.name, version, results, facts })
  })

  describe.each(COLUMNS)('%s', (column) => {
    test.each(Object.entries(PROBES[column]))('%s', async (name, probe) => {
      const outcome = await probe(probing).then(
        () => 'yes',
        (error: unknown) => {
          if (error instanceof CryptokiError) return `${error.fn} ${error.rvName}`
          throw error
        },
      )
      results[column][name] = outcome
      if (isRecordedOne) expect(outcome).toBe(recorded.results[column][name])
    })
  })

  describe('pool', () => {
    test('32 callers at once share 8 sessions, and each gets the answer to what it asked', async () => {
      const { client } = probing
      const publicKey = await publicRsa(client, await client.keys.get({ ...FOREIGN, class: 'CKO_PUBLIC_KEY' }))
      const messages = Array.from({ length: 32 }, (_, number) => Buffer.from(`message ${number}`))
      const signatures = await Promise.all(messages.map((each) => client.sign(FOREIGN, 'CKM_RSA_PKCS', each)))
      for (const [index, signature] of signatures.entries()) {
        // without a hash in between, what comes out is what was signed
        expect(unpad(publicKey, signature)).toEqual(messages[index])
      }
      const { currentSize, inUse, maxSize } = client.stats()
      expect([currentSize <= maxSize, inUse, maxSize]).toEqual([true, 0, 8])
    })

    test('closing leaves no session, and the module not initialised', async () => {
      const client = await connect()
      await Promise.all(Array.from({ length: 32 }, () => client.generateRandom(16)))
      expect(await probing.client.close()).toEqual({ abandoned: 0 })
      if (options.countsSessions === true) {
        const { slots } = await inspectModule(token.module)
        const open = slots.find((slot) => slot.token?.label === token.label)?.token?.sessionCount
        // the pool's, and the one that holds the login
        expect(open).toBe(client.stats().currentSize + 1)
      }
      expect(await client.close()).toEqual({ abandoned: 0 })
      expect(isInitialized(token)).toBe(false)
      probing.client = await connect()
    })
  })

  describe('facts', () => {
    test('of its sessions', async () => {
      const { slots } = await inspectModule(token.module, { initializeArgs: token.initializeArgs })
      const told = slots.find((slot) => slot.token?.label === token.label)?.token?.maxSessionCount
      holdsFact('maxSessions', describeLimit(told))
    })

    test('of the keys of other processes', async () => {
      token.createKeys([{ label: 'made-later', type: 'rsa-2048', id: 9 }])
      const find = () => probing.client.keys.find({ label: 'made-later' })
      const seesThem = (await find()).length > 0
      holdsFact('seesForeignKeys', seesThem ? 'at once' : 'when the module is initialised again')
      await probing.client.close()
      probing.client = await connect()
      expect(await find()).toHaveLength(2)
    })

    test('of secret keys with one id', async () => {
      const { client } = probing
      const template = { CKA_ID: randomBytes(8), CKA_VALUE_LEN: 32, CKA_LABEL: 'one-id', CKA_TOKEN: true } as const
      try {
        for (let made = 0; made < 2; made += 1) await client.keys.generate('CKM_AES_KEY_GEN', template)
      } catch (error) {
        if (error instanceof CryptokiError) return
        throw error
      }
      holdsFact('keysOfOneId', (await client.keys.find({ label: 'one-id' })).length)
    })

    test.runIf(options.mayFailLogin ?? true)(
      'of the flags after a wrong PIN, which is sent once and rejected',
      async () => {
        await probing.client.close()
        const pin = { value: `${token.pin.slice(0, -1)}?` }
        expect(await rejection(connect({ pin }))).toMatchObject({ code: 'CREDENTIALS_REJECTED' })
        const { slots } = await inspectModule(token.module, { initializeArgs: token.initializeArgs })
        const flags = slots.find((slot) => slot.token?.label === token.label)?.token?.flags ?? []
        holdsFact(
          'flagsAfterWrongPin',
          flags.filter((flag) => WARNING_FLAGS.test(flag)),
        )
        probing.client = await connect()
        expect(await probing.client.keys.find({ label: FOREIGN.label })).toHaveLength(2)
      },
    )
  })

  test('what was made can be destroyed', async () => {
    const { client } = probing
    const made = new Set<string>([...LABELS, FOREIGN.label, VENDOR_AES, 'made-later', 'one-id'])
    for (const label of made) {
      for (const { handle } of await client.keys.find({ label })) {
        await client.withSession((session) => session.destroyObject(handle))
      }
    }
    expect(token.objects().filter(({ label }) => made.has(label))).toEqual([])
  })
}

/** Nothing is recorded of a run in which tests failed. */
function isComplete(facts: Partial<TokenFacts>): facts is TokenFacts {
  return [facts.maxSessions, facts.flagsAfterWrongPin, facts.seesForeignKeys].every((fact) => fact !== undefined)
}

function describeLimit(sessions: number | undefined): string {
  if (sessions === undefined) return 'not told'
  return sessions > Number.MAX_SAFE_INTEGER ? 'none' : String(sessions)
}

function unpad(key: KeyObject, signature: Buffer): Buffer {
  return publicDecrypt({ key, padding: constants.RSA_PKCS1_PADDING }, signature)
}
