import { useSoftHsmToken } from 'testkit/vitest'
import { describe, expect, test } from 'vitest'
import { binding } from '../../src/pkcs11/binding.js'
import { CBC_DATA_MECHANISMS, STRING_DATA_MECHANISMS } from '../../src/pkcs11/mechanism-families.js'
import { MECHANISM_TYPES } from '../../src/pkcs11/mechanism-types.js'
import { packMechanism } from '../../src/pkcs11/mechanisms.js'
import { packedMechanism } from '../../src/pkcs11/packed-mechanism.js'
import { Operation, ParameterKind } from '../../src/pkcs11/protocol.js'
import { packTemplate } from '../../src/pkcs11/templates.js'
import { BLOCK, until } from '../support/engine-on-token.js'

const token = useSoftHsmToken({ keys: [{ label: 'k' }] })
const NOWHERE = Buffer.alloc(48, 0x41)
const SOON = 1_000

/** A native engine with nothing loaded, and what it was answered. */
function bare() {
  const answers: unknown[][] = []
  return { engine: new binding.Engine((batch) => answers.push(batch)), answers }
}

describe('what a module would follow as a pointer is refused:', () => {
  const { engine } = bare()
  const pointing: [string, number][] = [
    ['CKM_AES_GCM', ParameterKind.GCM],
    ['CKM_AES_CCM', ParameterKind.CCM],
    ['CKM_RSA_PKCS_OAEP', ParameterKind.OAEP],
    ['CKM_ECDH1_DERIVE', ParameterKind.ECDH1],
    ['CKM_ECDH1_COFACTOR_DERIVE', ParameterKind.ECDH1],
    ...STRING_DATA_MECHANISMS.map((name): [string, number] => [name, ParameterKind.STRING_DATA]),
    ...Object.entries(CBC_DATA_MECHANISMS).map(([name, length]): [string, number] => [
      name,
      length === 16 ? ParameterKind.CBC16_DATA : ParameterKind.CBC8_DATA,
    ]),
  ]

  test.each(pointing)('a parameter of %s that is not its own', (name, own) => {
    const type = MECHANISM_TYPES[name as keyof typeof MECHANISM_TYPES]
    for (const kind of Object.values(ParameterKind)) {
      if (kind === own || kind === ParameterKind.NONE) continue
      const mechanism = packedMechanism(type, kind, 1, 12_345, 0, NOWHERE, NOWHERE)
      expect(() => engine.submit(1, Operation.ENCRYPT, 1, SOON, mechanism, 1, BLOCK)).toThrow(
        new TypeError('mechanism takes a parameter of another kind'),
      )
    }
  })

  test('an array of attributes in a template, the mechanisms that a key allows excepted', () => {
    const packed = packTemplate({ CKA_ALLOWED_MECHANISMS: ['CKM_AES_GCM'] })
    engine.submit(1, Operation.CREATE_OBJECT, 1, SOON, packed)
    const wrapTemplate = Buffer.from(packed)
    wrapTemplate.writeUInt32LE(0x4000_0211, 4)
    expect(() => engine.submit(2, Operation.CREATE_OBJECT, 1, SOON, wrapTemplate)).toThrow(
      new TypeError('template has an array of attributes'),
    )
  })
})

test('a disposed engine refuses what it could not answer', async () => {
  const { engine, answers } = bare()
  engine.submit(1, Operation.INSPECT, 0, SOON)
  engine.dispose()
  await until(() => answers.length === 1)
  expect(() => engine.submit(2, Operation.INSPECT, 0, SOON)).toThrow(new TypeError('the engine has been disposed of'))
  expect(engine.cancel(2)).toBe(false)
})

test('an argument that disposes of the engine when it is looked at is refused', () => {
  const { engine } = bare()
  const item = [Operation.DIGEST, packMechanism('CKM_SHA256'), 0, BLOCK]
  Object.defineProperty(item, 3, {
    get() {
      engine.dispose()
      return BLOCK
    },
  })
  expect(() => engine.submit(1, Operation.BATCH, 1, SOON, [item])).toThrow(
    new TypeError('the engine has been disposed of'),
  )
})

test('answers come as Buffers once their memory has been taken away, and nothing is written to it any more', async () => {
  const values: unknown[] = []
  let taken: Uint8Array | undefined
  const engine = new binding.Engine((batch) => {
    values.push(batch[3])
    if (values.length !== 3) return
    taken = structuredClone(engine.outbox, { transfer: [engine.outbox.buffer as ArrayBuffer] })
  })
  engine.submit(1, Operation.LOAD, 0, SOON, token.module)
  await until(() => values.length === 1)
  engine.submit(2, Operation.OPEN_SESSION, 0, SOON, token.slot, 6)
  await until(() => values.length === 2)
  const number = values[1] as number
  engine.submit(3, Operation.GENERATE_RANDOM, number, SOON, 16)
  await until(() => values.length === 3)
  expect(values[2]).toBe(16)
  expect(taken?.subarray(0, 16)).not.toEqual(new Uint8Array(16))
  engine.submit(4, Operation.GENERATE_RANDOM, number, SOON, 16)
  await until(() => values.length === 4)
  expect(values[3]).toBeInstanceOf(Buffer)
  engine.dispose()
})

test('methods are refused on anything but their own objects', () => {
  const { engine } = bare()
  const pin = new binding.Pin({ value: token.pin })
  const { submit, cancel, stats, dispose, setMaxThreads } = binding.Engine.prototype
  for (const receiver of [{}, pin, Object.create(binding.Engine.prototype), new Proxy(engine, {}), null, undefined]) {
    for (const method of [submit, cancel, stats, dispose, setMaxThreads]) {
      expect(() => Reflect.apply(method, receiver, [1, 1, 0, SOON])).toThrow(TypeError)
    }
    if (receiver !== pin) expect(() => Reflect.apply(pin.wipe, receiver, [])).toThrow(TypeError)
  }
})

test('a PIN that was wiped, or is none, is not sent', () => {
  const { engine } = bare()
  const pin = new binding.Pin({ value: token.pin })
  pin.wipe()
  pin.wipe()
  for (const none of [pin, {}, Object.create(binding.Pin.prototype), engine, token.pin, undefined]) {
    expect(() => engine.submit(1, Operation.LOGIN, 1, SOON, 1, none)).toThrow(TypeError)
    expect(() => engine.submit(1, Operation.LOAD_PIN, 0, SOON, none)).toThrow(TypeError)
  }
})
