import { describe, expect, it } from 'vitest'
import { Problem } from '../../src/index.js'
import { RateLimit } from '../../src/plugins/rate-limit.js'

type Answer = Parameters<RateLimit['countAccount']>[1]

/** A limit of 60 a minute and 3 at once, on a clock of its own, and what it answers. */
function start() {
  let now = 0
  const limit = new RateLimit({ requestsPerMin: 60, burstSize: 3 }, () => now)
  const ask = (count: (answer: Answer) => void) => {
    const headers: Record<string, string> = {}
    const answer = { headers: (more: object) => Object.assign(headers, more) }
    try {
      count(answer)
    } catch (error) {
      if (!(error instanceof Problem)) throw error
      return { code: error.code, headers: { ...headers, ...error.headers } }
    }
    return { code: 'let in', headers }
  }
  return {
    advance: (ms: number) => (now += ms),
    account: (name: string) => ask((answer) => limit.countAccount(name, answer)),
    address: (name: string) => ask((answer) => limit.countAddress(name, answer)),
  }
}

const told = (remaining: number, reset: number) => ({
  'ratelimit-limit': '3',
  'ratelimit-remaining': String(remaining),
  'ratelimit-reset': String(reset),
})

describe('a limit of requests', () => {
  it('lets so many in at once, and tells each how many are left', () => {
    const { account } = start()
    const answers = Array.from({ length: 4 }, () => account('udm'))
    expect(answers).toEqual([
      { code: 'let in', headers: told(2, 1) },
      { code: 'let in', headers: told(1, 2) },
      { code: 'let in', headers: told(0, 3) },
      { code: 'RATE_LIMITED', headers: { ...told(0, 3), 'retry-after': '1' } },
    ])
  })

  it('lets one more in after its time, and all after a pause; asking in vain costs nothing', () => {
    const { account, advance } = start()
    for (let made = 0; made < 20; made++) account('udm')
    advance(1_000)
    expect(account('udm').code).toBe('let in')
    expect(account('udm').code).toBe('RATE_LIMITED')
    advance(60_000)
    expect(Array.from({ length: 4 }, () => account('udm').code)).toEqual(['let in', 'let in', 'let in', 'RATE_LIMITED'])
  })

  it('is each account’s own and each address’s own, and that of one is not that of the other', () => {
    const { account, address } = start()
    for (let made = 0; made < 4; made++) {
      account('udm')
      address('10.0.0.1')
    }
    expect([account('udm').code, address('10.0.0.1').code]).toEqual(['RATE_LIMITED', 'RATE_LIMITED'])
    expect([account('webconsole').code, address('10.0.0.2').code, account('10.0.0.1').code]).toEqual(
      Array(3).fill('let in'),
    )
  })

  it('is one for all addresses of an IPv6 network, of which a client has many', () => {
    const { address } = start()
    for (let made = 0; made < 3; made++) address(`2001:db8::${made}`)
    expect(address('2001:db8:0:0:9:9:9:9').code).toBe('RATE_LIMITED')
    expect(address('2001:db8:0:1::1').code).toBe('let in')
  })
})
