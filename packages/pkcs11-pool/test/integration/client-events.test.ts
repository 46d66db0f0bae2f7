import { once } from 'node:events'
import { expect, test } from 'vitest'
import { useWrappedToken } from '../support/wrapped-token.js'

const { module, open } = useWrappedToken()

test('a listener that throws costs no login, and is warned of once', async () => {
  const client = await open({ connect: 'lazy' })
  const warned = once(process, 'warning')
  const generations: number[] = []
  client.on('login', () => {
    throw new Error('a mistake in a log line')
  })
  client.on('login', ({ generation }) => generations.push(generation))
  const logins = module.calls('C_Login')
  expect(await client.generateRandom(4)).toHaveLength(4)
  expect(await client.generateRandom(4)).toHaveLength(4)
  expect(module.calls('C_Login') - logins).toBe(1)
  expect(generations).toEqual([1])
  expect((await warned)[0]).toMatchObject({
    name: 'ClientListenerWarning',
    message: expect.stringContaining('a mistake in a log line'),
  })
})

test('a listener that throws keeps nothing from the others', async () => {
  const client = await open({ pool: { minSize: 0 } })
  const warned = once(process, 'warning')
  let heard = 0
  client.on('acquired', () => {
    throw new Error('a mistake in a log line')
  })
  client.on('acquired', () => (heard += 1))
  await client.generateRandom(4)
  await client.generateRandom(4)
  expect(heard).toBe(2)
  await warned
})

test('events say what happened to sessions, and not which object it was; who is off hears nothing', async () => {
  const client = await open({ pool: { minSize: 0 } })
  const events: [string, object][] = []
  const names = ['created', 'acquired', 'released', 'destroyed', 'closed'] as const
  for (const name of names) client.on(name, (details) => events.push([name, details]))
  const ignored = (): never => expect.unreachable()
  client.on('acquired', ignored).off('acquired', ignored)
  await client.generateRandom(4)
  await client.close()
  expect(events.map(([name]) => name)).toEqual(['created', 'acquired', 'released', 'destroyed', 'closed'])
  for (const [, details] of events) expect(details).not.toHaveProperty('resource')
  expect(events[3]?.[1]).toMatchObject({ reason: 'closed' })
  expect(events[4]?.[1]).toEqual({ abandoned: 0 })
})

test('an event there is not is answered with the nearest there is', async () => {
  const client = await open({ pool: { minSize: 0 } })
  expect(() => client.on('aquired' as never, () => undefined)).toThrow('acquired')
  expect(() => client.on('acquired', 'log' as never)).toThrow('function')
})
