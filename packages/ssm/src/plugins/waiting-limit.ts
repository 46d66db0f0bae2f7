import type { Socket } from 'node:net'
import type { FastifyRequest } from 'fastify'
import { Problem } from '../problems/problem.js'
import type { App } from '../routes/routes.js'

/**
 * Refuses requests beyond so many at once, before anything is done for them: a service that takes everything in answers nobody in time.
 * One is under way from when all of it has come: whoever sends a request without its body keeps nobody else out. What is open to
 * everybody, such as the operator's probes, is answered all the same.
 *
 * @param max requests under way
 */
export function limitWaiting(app: App, max: number): void {
  let underWay = 0
  const ofSocket = new WeakMap<Socket, { underWay: number }>()

  app.addHook('onRequest', (request, _reply, next) => {
    if (isLimited(request)) refuseBeyond()
    next()
  })
  app.addHook('preValidation', (request, reply, next) => {
    const { socket } = request.raw
    // of a client that has gone meanwhile, nothing would tell that it is over
    if (!isLimited(request) || socket.destroyed) return next()
    refuseBeyond()
    const own = requestsOf(socket)
    underWay++
    own.underWay++
    reply.raw.once('close', () => {
      if (own.underWay === 0) return
      underWay--
      own.underWay--
    })
    next()
  })

  function refuseBeyond(): void {
    if (underWay < max) return
    throw new Problem(
      'POOL_EXHAUSTED',
      'timeout waiting for available connection was certain: too many requests are under way already; try again with less at once',
      { headers: { 'retry-after': '1' } },
    )
  }

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

function isLimited(request: FastifyRequest): boolean {
  const { action } = request.routeOptions.config
  return action !== 'OPEN' && action !== 'OPERATOR'
}
