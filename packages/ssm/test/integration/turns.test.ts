import { once } from 'node:events'
import { Agent, type IncomingMessage, request } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import Fastify from 'fastify'
import { afterEach, expect, it } from 'vitest'
import { takeTurns } from '../../src/plugins/turns.js'
import type { App } from '../../src/routes/routes.js'

const BUSY = 300
const NEWCOMERS = 100
const agents: Agent[] = []
const apps: App[] = []

afterEach(async () => {
  for (const agent of agents.splice(0)) agent.destroy()
  await Promise.all(apps.splice(0).map((app) => app.close()))
})

/** Gives a function that asks once, and what was asked in the order of the service's answers. */
async function serve() {
  const app: App = Fastify()
  apps.push(app)
  const inHand = { now: 0, most: 0 }
  app.addHook('onRequest', async () => {
    inHand.most = Math.max(inHand.most, ++inHand.now)
  })
  app.addHook('onResponse', async () => {
    inHand.now--
  })
  takeTurns(app)
  const begun: string[] = []
  app.get('/:who', async (req) => {
    begun.push((req.params as { who: string }).who)
    // as if a token were asked
    await new Promise((resolve) => setImmediate(resolve))
    return 'done'
  })
  app.get('/probe', { config: { action: 'OPEN', limited: false } }, async () => {
    begun.push('probe')
    return 'well'
  })
  await app.listen({ host: '127.0.0.1', port: 0, backlog: 4_096 })
  const { port } = app.server.address() as AddressInfo
  const ask = async (who: string, agent: Agent): Promise<number | undefined> => {
    const sent = request({ port, host: '127.0.0.1', path: `/${who}`, agent }).end()
    const [answer] = (await once(sent, 'response')) as [IncomingMessage]
    await once(answer.resume(), 'end')
    return answer.statusCode
  }
  return { ask, begun, inHand, port, inject: (path: string) => app.inject(path) }
}

it('lets whoever is not connected yet in while hundreds of others are served without a pause', async () => {
  const { ask, begun } = await serve()
  const agent = new Agent({ keepAlive: true })
  agents.push(agent)
  const state = { goOn: true, answered: 0 }
  const busy = Array.from({ length: BUSY }, async () => {
    while (state.goOn) {
      await ask('busy', agent)
      state.answered++
    }
  })
  while (state.answered < 3 * BUSY) await new Promise((resolve) => setImmediate(resolve))
  const before = state.answered
  const newcomers = Array.from({ length: NEWCOMERS }, () => {
    const own = new Agent()
    agents.push(own)
    return ask('new', own)
  })
  expect(new Set(await Promise.all(newcomers))).toEqual(new Set([200]))
  // where a turn serves everybody who is connected, each newcomer costs as many answers: 30,000 in all
  expect(state.answered - before).toBeLessThan(NEWCOMERS * 30)
  state.goOn = false
  await Promise.all(busy)
  expect(begun.filter((who) => who === 'new')).toHaveLength(NEWCOMERS)
})

it('lets requests begin in the order in which they came, and four in a turn', async () => {
  const { inject, begun } = await serve()
  const names = Array.from({ length: 50 }, (_, place) => String(place))
  const answers = names.map((who) => inject(`/${who}`))
  const inTurns: number[] = []
  while (begun.length < names.length) {
    inTurns.push(begun.length)
    await new Promise((resolve) => setImmediate(resolve))
  }
  await Promise.all(answers)
  expect(begun).toEqual(names)
  const most = Math.max(...inTurns.slice(1).map((count, turn) => count - (inTurns[turn] ?? 0)))
  expect(most).toBe(4)
})

it('reads no more from a connection that asks on and on than it answers', async () => {
  const { inHand, port } = await serve()
  const socket = connect({ port, host: '127.0.0.1' })
  const requests = 30_000
  socket.write('GET /again HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(requests))
  let text = ''
  let answers = 0
  for await (const chunk of socket) {
    text += String(chunk)
    const parts = text.split('HTTP/1.1 200 OK')
    answers += parts.length - 1
    text = parts.at(-1)?.slice(-20) ?? ''
    if (answers === requests) break
  }
  // some pieces of what it reads, 64 KiB each; it was all of them
  expect(inHand.most).toBeLessThan(requests / 2)
})

it('lets a probe of the operator wait for nobody', async () => {
  const { inject, begun } = await serve()
  const asked = Array.from({ length: 50 }, (_, place) => inject(`/${place}`))
  asked.push(inject('/probe'))
  await Promise.all(asked)
  expect(begun).toHaveLength(51)
  expect(begun.indexOf('probe')).toBeLessThan(10)
})
