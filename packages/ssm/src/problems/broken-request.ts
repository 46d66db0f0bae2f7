import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import { Problem } from './problem.js'

/** Answers bytes that are no HTTP request, or too much or too slow of one: no route and no path is known. */
export function answerBrokenRequest(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed || !socket.writable) {
    socket.destroy()
    return
  }
  const problem = new Problem('VALIDATION_FAILED', describe(error.code))
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
