import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { AuditStream } from '../../src/audit/audit-stream.js'
import { link } from '../../src/audit/chain.js'
import { entryText, serviceEvent } from '../../src/audit/entry.js'
import { parseStreamTarget } from '../../src/audit/stream-target.js'

const entryAt = (seq: number, error: string | null = null, account = 'udm') => {
  const event = { ...serviceEvent('DECRYPT_DATA', new Date('2026-01-02T03:04:05.678Z')), account, error }
  const entry = entryText('main', seq, event)
  return { seq, entry, hash: link('', entry) }
}

/** A collector that keeps what it is sent. */
async function collect(listenOn: string | number = 0) {
  const state = { text: '', sockets: new Set<Socket>() }
  const server: Server = createServer((socket) => {
    state.sockets.add(socket)
    socket.on('data', (chunk) => (state.text += String(chunk)))
    socket.on('error', () => {})
  })
  server.listen(listenOn as number, ...(typeof listenOn === 'number' ? ['127.0.0.1'] : []))
  await once(server, 'listening')
  onTestFinished(async () => {
    for (const socket of state.sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
  return { state, port: (server.address() as AddressInfo).port }
}

function newPath(): string {
  const directory = mkdtempSync(join(tmpdir(), 'ssm-stream-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  return join(directory, 'collector')
}

function start(url: string) {
  const failures: unknown[] = []
  const stream = new AuditStream(parseStreamTarget(url, 'auditStream'), (error) => failures.push(error))
  onTestFinished(() => stream.close())
  return { stream, failures }
}

describe('the stream of the audit', () => {
  it('is syslog over TCP: each message with its length before it, and its severity by how the request ended', async () => {
    const { state, port } = await collect()
    const { stream } = start(`syslog+tcp://127.0.0.1:${port}`)
    const entries = [entryAt(1), entryAt(2, 'KEY_NOT_FOUND', 'fünf')]
    stream.forward(entries)
    await expect.poll(() => state.text.length).toBeGreaterThan(0)
    await stream.close()
    let rest = Buffer.from(state.text)
    for (const [at, { entry, hash }] of entries.entries()) {
      const space = rest.indexOf(' ')
      const length = Number(rest.subarray(0, space))
      const message = rest.subarray(space + 1, space + 1 + length).toString()
      const [, header, text] = /^(<\d+>1 \S+ \S+ ssm \d+ DECRYPT_DATA -) (.*)$/.exec(message) ?? []
      expect(header).toMatch(at === 0 ? /^<110>1 2026-01-02T03:04:05\.678Z / : /^<108>1 /)
      expect(JSON.parse(text ?? '')).toEqual({ entry: JSON.parse(entry) as unknown, hash })
      rest = rest.subarray(space + 1 + length)
    }
    expect(rest).toHaveLength(0)
  })

  it('is syslog over UDP: a message a datagram', async () => {
    const socket = createSocket('udp4')
    socket.bind(0, '127.0.0.1')
    await once(socket, 'listening')
    onTestFinished(() => void socket.close())
    const { stream } = start(`syslog+udp://127.0.0.1:${socket.address().port}`)
    const received = once(socket, 'message')
    stream.forward([entryAt(1)])
    expect(String((await received)[0])).toMatch(/^<110>1 .*\{"entry":\{"chain":"main","seq":1,/)
  })

  it('is lines of JSON over a Unix socket, as an export has them', async () => {
    const path = newPath()
    const { state } = await collect(path)
    const { stream } = start(`jsonl+unix://${path}`)
    stream.forward([entryAt(1), entryAt(2)])
    await expect.poll(() => state.text.split('\n').length).toBe(3)
    expect(JSON.parse(state.text.split('\n')[1] ?? '')).toMatchObject({ entry: { seq: 2 } })
  })

  it('waits for a collector that is away, holds so many, and tells how many it left out', async () => {
    const path = newPath()
    const { stream, failures } = start(`jsonl+unix://${path}`)
    await expect.poll(() => failures.length).toBeGreaterThan(0)
    stream.forward(Array.from({ length: 9_000 }, (_, at) => entryAt(at + 1)))
    stream.forward(Array.from({ length: 1_500 }, (_, at) => entryAt(9_001 + at)))
    expect(stream.missed).toBe(500)
    const back = await collect(path)
    await expect.poll(() => back.state.text.trimEnd().split('\n').length, { timeout: 10_000 }).toBe(10_001)
    const lines = back.state.text.trimEnd().split('\n')
    expect(JSON.parse(lines.at(-2) ?? '')).toMatchObject({ entry: { seq: 10_000 } })
    expect(JSON.parse(lines.at(-1) ?? '')).toMatchObject({ entry: { action: 'MISSED', count: 500 } })
    expect(stream.missed).toBe(0)
  })

  it.each([
    'tcp://h:1',
    'syslog+tcp://h',
    'syslog+tcp://h:0',
    'jsonl+udp://h:1',
    'jsonl+unix://relative',
    'syslog+tcp://h:70000',
  ])('does not go to %s', (url) => {
    expect(() => parseStreamTarget(url, 'SSM_AUDIT_STREAM')).toThrow(/^SSM_AUDIT_STREAM: got .* expected syslog\+tcp:/)
  })
})
