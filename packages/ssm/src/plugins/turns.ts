import type { App } from '../routes/routes.js'

/** Requests that begin in one turn of the event loop: with fewer, the loop's own work shows; with 16, newcomers wait three times as long. */
const PER_TURN = 4

/**
 * Lets requests begin in the order in which they came, and few in one turn of the event loop. A turn takes one new connection, however many
 * wait (libuv since 1.45): with all requests of a turn served in it, its length grows with their number, and while thousands keep the service
 * busy, whoever is not connected yet waits until they are done. The operator's probes wait for nobody: a service that has much to do is no sick one.
 *
 * One request of a connection waits at a time. Those pipelined behind it begin at once: their answers wait for its own, and Node reads no more from
 * a connection with many of them, where it would go on for ever reading requests that stand in a line.
 */
export function takeTurns(app: App): void {
  const waiting: (() => void)[] = []
  const inLine = new WeakSet<object>()
  let begun = 0
  let isTurnNoted = false

  app.addHook('onRequest', (request, _reply, next) => {
    const { action, limited } = request.routeOptions.config
    const { socket } = request.raw
    if (action === 'OPERATOR' || limited === false || inLine.has(socket)) return next()
    if (begun < PER_TURN && waiting.length === 0) begin(next)
    else {
      inLine.add(socket)
      waiting.push(() => {
        inLine.delete(socket)
        next()
      })
    }
    noteTurn()
  })

  function begin(next: () => void): void {
    begun++
    next()
  }

  function noteTurn(): void {
    if (isTurnNoted) return
    isTurnNoted = true
    setImmediate(() => {
      isTurnNoted = false
      begun = 0
      for (const next of waiting.splice(0, PER_TURN)) begin(next)
      if (begun > 0) noteTurn()
    })
  }
}
