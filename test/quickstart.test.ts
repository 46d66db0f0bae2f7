import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { afterAll, expect, test } from 'vitest'

const script = fileURLToPath(new URL('../scripts/quickstart.mjs', import.meta.url))
const data = join(mkdtempSync(join(tmpdir(), 'quickstart-')), 'data')
const running = new Set<ChildProcess>()
afterAll(() => {
  for (const child of running) child.kill('SIGTERM')
  rmSync(join(data, '..'), { recursive: true, force: true })
})

function start(port: number, ...more: string[]) {
  const child = spawn(process.execPath, [script, '--port', String(port), '--data', data, ...more])
  running.add(child)
  child.on('exit', () => running.delete(child))
  return { child, ended: once(child, 'close'), stdout: text(child.stdout), stderr: text(child.stderr) }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

async function isTaken(port: number): Promise<boolean> {
  const answer = await fetch(`http://127.0.0.1:${port}/healthz`).catch(() => undefined)
  return answer !== undefined
}

test('with --once it encrypts and decrypts through the real service, shows both, and leaves nothing running', async () => {
  const port = await freePort()
  const { ended, stdout, stderr } = start(port, '--once')
  const [status] = await ended
  expect({ status, stderr: await stderr }).toEqual({ status: 0, stderr: '' })
  const output = await stdout
  expect(output).toMatch(/> POST \/login\n> .*\n< 200/)
  expect(output).toMatch(
    /> POST \/crypto\/encrypt\n> Authorization: Bearer .*\n> .*"plain":"\w+".*\n< 201\n< .*"cipher":"[0-9a-f]{64}"/,
  )
  expect(output).toMatch(/> POST \/crypto\/decrypt\n> Authorization: Bearer .*\n> .*\n< 200\n< .*"plain":"\w+"/)
  expect(output).toMatch(/> GET \/pool\/stats\n> Authorization: Bearer .*\n< 200\n< \{.*"max_size":10/)
  expect(await isTaken(port)).toBe(false)
})

test('the data folder is private, and the PIN in it is in no output', async () => {
  expect(statSync(data).mode & 0o777).toBe(0o700)
  const pinFile = join(data, 'pin')
  expect(statSync(pinFile).mode & 0o777).toBe(0o600)
  const { ended, stdout, stderr } = start(await freePort(), '--once')
  await ended
  expect((await stdout) + (await stderr)).not.toContain(readFileSync(pinFile, 'utf8'))
})

test('a second run uses the token of the first, stays up, and ends with status 0 when it is interrupted', async () => {
  const port = await freePort()
  const { child, ended, stdout } = start(port)
  const seen: string[] = []
  child.stdout.on('data', (chunk: Buffer) => seen.push(chunk.toString()))
  while (!seen.join('').includes('SSM is up')) await once(child.stdout, 'data')
  expect(await isTaken(port)).toBe(true)
  child.kill('SIGINT')
  const [status] = await ended
  expect(status).toBe(0)
  expect(await stdout).toContain('made by an earlier run')
  expect(await isTaken(port)).toBe(false)
})

test('a port that is taken is an error with the next step, before anything is made', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const untouched = join(data, 'untouched')
  const child = spawn(process.execPath, [
    script,
    '--port',
    String((server.address() as AddressInfo).port),
    '--data',
    untouched,
  ])
  const stderr = text(child.stderr)
  const [status] = await once(child, 'close')
  server.close()
  expect(status).toBe(4)
  expect(await stderr).toMatch(
    /port \d+ of 127\.0\.0\.1 is taken: end what listens there, or choose another one with --port/,
  )
  expect(existsSync(untouched)).toBe(false)
})
