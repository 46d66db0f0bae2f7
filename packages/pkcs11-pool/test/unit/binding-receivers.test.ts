import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { afterAll, describe, expect, test } from 'vitest'
import { binding } from '../../src/pkcs11/binding.js'
import { Operation } from '../../src/pkcs11/protocol.js'

const engine = new binding.Engine(() => undefined)
const pin = new binding.Pin({ value: 'a pin' })
afterAll(() => {
  engine.dispose()
  pin.wipe()
})

describe('a method of the addon refuses what is not its own object:', () => {
  const methods: [string, unknown][] = [
    ...(['submit', 'cancel', 'setMaxThreads', 'stats', 'dispose'] as const).map((name): [string, unknown] => [
      `Engine's ${name}`,
      binding.Engine.prototype[name],
    ]),
    ["Pin's wipe", binding.Pin.prototype.wipe],
  ]
  const foreign = (method: string): unknown[] => [
    undefined,
    null,
    1,
    'text',
    {},
    [],
    () => undefined,
    Object.create(binding.Engine.prototype),
    Object.create(binding.Pin.prototype),
    Object.create(engine),
    new Proxy(engine, {}),
    new Proxy(pin, {}),
    method.startsWith('Pin') ? engine : pin,
    method.startsWith('Pin') ? engineLikePin() : pinLikeEngine(),
  ]

  test.each(methods)('%s', (name, method) => {
    for (const receiver of foreign(name)) {
      expect(() => Reflect.apply(method as () => void, receiver, [1, Operation.INSPECT, 0, 0])).toThrow(TypeError)
    }
  })

  /** The real object of one class with the prototype of the other. */
  function engineLikePin(): object {
    return Reflect.construct(binding.Engine, [() => undefined], binding.Pin)
  }
  function pinLikeEngine(): object {
    return Reflect.construct(binding.Pin, [{ value: 'a pin' }], binding.Engine)
  }
})

test('a class of the addon can be extended, and not be called', () => {
  class Mine extends binding.Engine {}
  const mine = new Mine(() => undefined)
  expect(mine.stats()).toMatchObject({ threads: 0, sessions: 0 })
  mine.dispose()
  for (const constructor of [binding.Engine, binding.Pin]) {
    expect(() => Reflect.apply(constructor as unknown as () => void, undefined, [() => undefined])).toThrow(TypeError)
  }
})

test('a Pin says that it takes one source, and lets what its source throws through', () => {
  for (const source of [undefined, null, 1, {}, { file: '' }, { value: '' }, { value: new Uint16Array(2) }]) {
    expect(() => Reflect.construct(binding.Pin, [source])).toThrow(Error)
  }
  const thrown = new RangeError('from a getter')
  const hostile = {
    get file(): string {
      throw thrown
    },
  }
  expect(() => new binding.Pin(hostile)).toThrow(thrown)
})

test('a callback that throws is an uncaught exception of the program, and what is complete later is told all the same', async () => {
  const program = `
    import { binding } from ${JSON.stringify(new URL('../../dist/pkcs11/binding.js', import.meta.url).href)}
    const told = []
    let caught = 0
    process.on('uncaughtException', (error) => {
      caught += error.message === 'mine' ? 1 : 100
      if (told.length < 5) submit()
      else console.log(JSON.stringify({ told, caught }))
    })
    const engine = new binding.Engine((batch) => {
      told.push(batch[0])
      throw new Error('mine')
    })
    let job = 0
    const submit = () => engine.submit(++job, ${Operation.INSPECT}, 0, 60_000)
    submit()`
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program])
  expect(JSON.parse(stdout)).toEqual({ told: [1, 2, 3, 4, 5], caught: 5 })
})
