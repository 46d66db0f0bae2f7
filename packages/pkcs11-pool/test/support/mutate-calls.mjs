// Makes calls that a token would answer, each with something in it changed: bytes of a packed mechanism or template, a key, data. Run
// by binding-mutations.test.ts in a process of its own, so that a crash is an exit status. Prints how many calls ended how.
//
//   node mutate-calls.mjs SEED RUNS MODULE SLOT PIN-FILE
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { binding } from '../../dist/pkcs11/binding.js'
import { Engine, EngineSession } from '../../dist/pkcs11/engine.js'
import { packMechanism } from '../../dist/pkcs11/mechanisms.js'
import { Operation } from '../../dist/pkcs11/protocol.js'
import { packTemplate } from '../../dist/pkcs11/templates.js'

const [seed, runs, module, slot, pinFile] = process.argv.slice(2)
const call = { timeoutMs: 60_000 }
const engine = new Engine()
await engine.run(Operation.LOAD, undefined, call, module)
const session = new EngineSession(await engine.run(Operation.OPEN_SESSION, undefined, call, Number(slot), 6))
const pin = new binding.Pin({ value: readFileSync(pinFile) })
await engine.run(Operation.LOGIN, session, call, 1, pin)

async function find(label, keyClass) {
  const template = packTemplate({ CKA_LABEL: label, CKA_CLASS: keyClass })
  return (await engine.run(Operation.FIND, session, call, template, 1, null))[0]
}
const aes = await find('aes', 'CKO_SECRET_KEY')
const rsa = await find('rsa', 'CKO_PRIVATE_KEY')
const rsaPublic = await find('rsa', 'CKO_PUBLIC_KEY')
const ec = await find('ec', 'CKO_PRIVATE_KEY')
const ecPublic = await find('ec', 'CKO_PUBLIC_KEY')
const [point] = await engine.run(Operation.GET_ATTRIBUTES, session, call, ecPublic, [0x181])

const data = Buffer.alloc(32, 1)
const iv = Buffer.alloc(16, 2)
const cbc = packMechanism({ mechanism: 'CKM_AES_CBC_PAD', iv })
const gcm = packMechanism({ mechanism: 'CKM_AES_GCM', iv: iv.subarray(4), aad: data })
const oaep = packMechanism({ mechanism: 'CKM_RSA_PKCS_OAEP', hashAlg: 'CKM_SHA_1' })
const pss = packMechanism({ mechanism: 'CKM_RSA_PKCS_PSS', hashAlg: 'CKM_SHA256' })
const ecdsa = packMechanism('CKM_ECDSA')
const wrap = packMechanism('CKM_AES_KEY_WRAP')
const derived = packTemplate({ CKA_CLASS: 'CKO_SECRET_KEY', CKA_KEY_TYPE: 'CKK_GENERIC_SECRET', CKA_VALUE_LEN: 16 })
const secret = packTemplate({
  CKA_CLASS: 'CKO_SECRET_KEY',
  CKA_KEY_TYPE: 'CKK_AES',
  CKA_VALUE: data,
  CKA_ALLOWED_MECHANISMS: ['CKM_AES_GCM'],
})
const generated = packTemplate({ CKA_VALUE_LEN: 32, CKA_LABEL: 'generated', CKA_ENCRYPT: true })
const attributes = [0, 3, 0x102, 0x11, 0x4000_0211, 0x4000_0600]

const calls = [
  [Operation.ENCRYPT, gcm, aes, data],
  [Operation.SEAL, gcm, aes, data],
  [Operation.ENCRYPT, cbc, aes, data],
  [Operation.DECRYPT, cbc, aes, data],
  [Operation.ENCRYPT, packMechanism({ mechanism: 'CKM_AES_CTR', counterBlock: iv, counterBits: 128 }), aes, data],
  [Operation.ENCRYPT, oaep, rsaPublic, data],
  [Operation.DECRYPT, oaep, rsa, Buffer.alloc(256)],
  [Operation.SIGN, pss, rsa, data],
  [Operation.SIGN, ecdsa, ec, data],
  [Operation.VERIFY, ecdsa, ecPublic, data, Buffer.alloc(64, 1)],
  [Operation.DIGEST, packMechanism('CKM_SHA256'), data],
  [Operation.DERIVE_KEY, packMechanism({ mechanism: 'CKM_ECDH1_DERIVE', publicData: point }), ec, derived],
  [Operation.DERIVE_KEY, packMechanism({ mechanism: 'CKM_AES_CBC_ENCRYPT_DATA', iv, data }), aes, derived],
  [Operation.DERIVE_KEY, packMechanism({ mechanism: 'CKM_AES_ECB_ENCRYPT_DATA', data }), aes, derived],
  [Operation.CREATE_OBJECT, secret],
  [Operation.GENERATE_KEY, packMechanism('CKM_AES_KEY_GEN'), generated],
  [Operation.FIND, packTemplate({ CKA_LABEL: 'aes' }), 100, attributes],
  [Operation.GET_ATTRIBUTES, aes, attributes],
  [Operation.COPY_OBJECT, aes, packTemplate({ CKA_TOKEN: false, CKA_LABEL: 'copy' })],
  [Operation.WRAP_KEY, wrap, aes, aes],
  [Operation.UNWRAP_KEY, wrap, aes, Buffer.alloc(40), secret],
  [
    Operation.BATCH,
    [
      [Operation.ENCRYPT, cbc, aes, data],
      [Operation.SIGN, pss, rsa, data],
    ],
  ],
]

/** What a mutation draws on: where, what, and which kind. */
const change = fc.record({ argument: fc.nat(4), at: fc.nat(63), byte: fc.nat(255), kind: fc.nat(3) })

function mutate(value, { at, byte, kind }) {
  if (typeof value === 'number') return [at, value + 1, 0, Number.MAX_SAFE_INTEGER][kind]
  if (Array.isArray(value)) return value.map((each) => mutate(each, { at, byte, kind }))
  if (kind === 0) return value.subarray(0, at)
  if (kind === 1) return Buffer.concat([value, Buffer.alloc(at, byte)])
  const changed = Buffer.from(value)
  if (at < changed.length) changed[at] = kind === 2 ? byte : changed[at] + 1
  return changed
}

const counts = { answered: 0, failed: 0 }
await fc.assert(
  fc.asyncProperty(fc.constantFrom(...calls), fc.array(change, { maxLength: 3 }), async (chosen, changes) => {
    const [operation, ...args] = chosen
    for (const each of changes) {
      const argument = each.argument % args.length
      args[argument] = mutate(args[argument], each)
    }
    await engine.run(operation, session, call, ...args).then(
      () => (counts.answered += 1),
      () => (counts.failed += 1),
    )
  }),
  { seed: Number(seed), numRuns: Number(runs), endOnFailure: true },
)
engine.dispose()
process.stdout.write(JSON.stringify(counts))
