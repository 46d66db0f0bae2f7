import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { Problem } from './problem.js'

/** Answers bytes that are no HTTP request, or too much or too slow of one: no route and no path is known. */
export function answerBrokenRequest(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed || !socket.writable) {
    socket.destroy()
    return
  }
  endWith(socket, new Problem('VALIDATION_FAILED', describe(error.code)))
}

/** Answers CONNECT, which Node gives to no route: this is no proxy. */
export function refuseConnect(_request: unknown, socket: Duplex): void {
  // Node has taken its own listeners off this socket, and does not end it with the others when the service stops
  socket.on('error', () => socket.destroy())
  socket.once('finish', () => socket.destroy())
  endWith(
    socket,
    new Problem('METHOD_NOT_ALLOWED', 'got CONNECT: the service is no proxy, ask it for one of its own paths'),
  )
}

function endWith(socket: Duplex, problem: Problem): void {
  const body = JSON.stringify(problem.toBody(''))
  socket.end(
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}\r\ncontent-type: application/problem+json\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  )
}

function describe(code: string | undefined): string {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT')
    return 'the request did not arrive in time, expected its headers, and then all of it, sooner'
  if (code === 'HPE_HEADER_OVERFLOW') return 'the headers are too large, expected at most 16 KiB'
  return 'what arrived is not a valid HTTP/1.1 request'
}
