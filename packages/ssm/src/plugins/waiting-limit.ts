import type { Socket } from 'node:net'
import { Problem } from '../problems/problem.js'
import type { App } from '../routes/routes.js'

/**
 * Refuses requests beyond so many at once, before anything is done for them: a service that takes everything in answers nobody in time.
 * What is open to everybody, such as the operator's probes, is answered all the same.
 *
 * @param max requests under way
 */
export function limitWaiting(app: App, max: number): void {
  let underWay = 0
  const ofSocket = new WeakMap<Socket, { underWay: number }>()

  app.addHook('onRequest', (request, reply, next) => {
    const { action } = request.routeOptions.config
    if (action === 'OPEN' || action === 'OPERATOR') return next()
    if (underWay >= max) {
      throw new Problem(
        'POOL_EXHAUSTED',
        'timeout waiting for available connection was certain: too many requests are under way already; try again with less at once',
        { headers: { 'retry-after': '1' } },
      )
    }
    const own = requestsOf(request.raw.socket)
    underWay++
    own.underWay++
    reply.raw.once('close', () => {
      if (own.underWay === 0) return
      underWay--
      own.underWay--
    })
    next()
  })

  /** Of pipelined requests only the first answer hears of the connection's end, so the connection is listened to itself. */
  function requestsOf(socket: Socket): { underWay: number } {
    const known = ofSocket.get(socket)
    if (known !== undefined) return known
    const own = { underWay: 0 }
    ofSocket.set(socket, own)
    socket.once('close', () => {
      underWay -= own.underWay
      own.underWay = 0
    })
    return own
  }
}
