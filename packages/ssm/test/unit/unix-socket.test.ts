import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { removeStaleSocket } from '../../src/listen/unix-socket.js'

const folder = mkdtempSync(join(tmpdir(), 'ssm-socket-'))
afterAll(() => rmSync(folder, { recursive: true }))

it('a socket on which somebody listens is left alone, and so is what is no socket', async () => {
  const [path, file] = [join(folder, 'lives'), join(folder, 'file')]
  const server = createServer().listen(path)
  await once(server, 'listening')
  writeFileSync(file, '')
  await Promise.all([path, file, join(folder, 'nothing')].map((each) => removeStaleSocket(each)))
  expect([existsSync(path), existsSync(file)]).toEqual([true, true])
  server.close()
})
