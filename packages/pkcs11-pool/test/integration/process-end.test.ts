import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createWrappedModule } from 'testkit'
import { useSoftHsmToken } from 'testkit/vitest'
import { afterAll, afterEach, expect, test } from 'vitest'

const token = useSoftHsmToken({ keys: [{ label: 'k' }] })
const module = createWrappedModule(token)
afterEach(() => module.clear())
afterAll(() => module.remove())

const LIBRARY = new URL('../../dist/index.js', import.meta.url).href
const TIMES = 5

/** What every program begins with: a client, and a way to use it. */
const PRELUDE = `
  import { Worker } from 'node:worker_threads'
  import { createClient } from ${JSON.stringify(LIBRARY)}
  const open = () => createClient({
    module: ${JSON.stringify(module.module)}, token: { label: 'test' }, pin: { file: ${JSON.stringify(token.pinFile)} },
    pool: { maxSize: 4, operationTimeoutMs: 60_000 },
  })
  const encrypt = (client) => client.encrypt({ label: 'k' }, { mechanism: 'CKM_AES_CBC_PAD', iv: Buffer.alloc(16) }, Buffer.alloc(16))
`

/** How a program ended, and what it had printed. */
async function run(
  body: string,
): Promise<{ code: number | null; signal: string | null; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', PRELUDE + body], {
    env: { ...process.env, ...token.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const output = { stdout: '', stderr: '' }
  child.stdout.on('data', (chunk: Buffer) => (output.stdout += String(chunk)))
  child.stderr.on('data', (chunk: Buffer) => (output.stderr += String(chunk)))
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null]
  return { code, signal, ...output }
}

test.each<[string, () => void, string, number]>([
  [
    'calls that hang for ever',
    () => module.hang('C_Encrypt'),
    'const c = await open(); for (let n = 0; n < 4; n++) encrypt(c); setImmediate(() => setImmediate(() => process.exit(7)))',
    7,
  ],
  [
    'calls in full swing',
    () => undefined,
    'const c = await open(); const loop = async () => { for (;;) await encrypt(c) }; for (let n = 0; n < 4; n++) loop(); setTimeout(() => process.exit(7), 5)',
    7,
  ],
  [
    'a login that hangs',
    () => module.hang('C_Login'),
    'open(); setImmediate(() => setImmediate(() => process.exit(7)))',
    7,
  ],
  [
    'a C_Initialize that hangs',
    () => module.hang('C_Initialize'),
    'open(); setImmediate(() => setImmediate(() => process.exit(7)))',
    7,
  ],
  ['an exception nobody catches', () => undefined, 'const c = await open(); encrypt(c); throw new Error("mine")', 1],
  ['a client that was closed', () => undefined, 'const c = await open(); await encrypt(c); await c.close()', 0],
  ['a client that was not closed', () => undefined, 'const c = await open(); await encrypt(c)', 0],
])(`a process ends with its own status, ${TIMES} times, with %s`, async (_, misbehave, body, status) => {
  misbehave()
  // One after the other: SoftHSM's token file cannot be read while another process that logs in writes it.
  const ends = []
  while (ends.length < TIMES) ends.push(await run(body))
  for (const { code, signal, stderr } of ends)
    expect({ code, signal, because: code === status ? '' : stderr }).toEqual({
      code: status,
      signal: null,
      because: '',
    })
})

/** A worker thread's program: a client of its own, used without end; it says when it has begun. */
const WORKER = `
  const { parentPort } = await import('node:worker_threads')
  const client = await open()
  await encrypt(client)
  parentPort.postMessage('begun')
`
const start = (rest: string): string =>
  `new Worker(new URL('data:text/javascript,' + encodeURIComponent(${JSON.stringify(PRELUDE + WORKER + rest)})))`

test('worker threads that are terminated in the middle of their calls leave process and module whole', async () => {
  const { code, signal, stdout, stderr } = await run(`
    const mine = await open()
    for (let round = 0; round < 20; round++) {
      const worker = ${start('for (;;) await Promise.all([encrypt(client), encrypt(client), encrypt(client)])')}
      await new Promise((resolve) => worker.once('message', resolve))
      await worker.terminate()
      await encrypt(mine)
    }
    await mine.close()
    console.log('whole')`)
  expect({ code, signal, stdout, because: code === 0 ? '' : stderr }).toEqual({
    code: 0,
    signal: null,
    stdout: 'whole\n',
    because: '',
  })
  expect(module.openSessions()).toBe(0)
})

test('of several worker threads with a client each, the ones that close leave the others alone', async () => {
  const { code, signal, stdout, stderr } = await run(`
    const workers = Array.from({ length: 4 }, (_, n) => n % 2 === 0
      ? ${start('await client.close(); parentPort.postMessage("closed")')}
      : ${start('await new Promise((resolve) => parentPort.once("message", resolve)); for (let n = 0; n < 20; n++) await encrypt(client); await client.close(); parentPort.postMessage("used"); parentPort.close()')})
    const said = (worker, what) => new Promise((resolve) => worker.on('message', (message) => message === what && resolve()))
    await Promise.all(workers.filter((_, n) => n % 2 === 0).map((worker) => said(worker, 'closed')))
    await Promise.all(workers.filter((_, n) => n % 2 === 1).map((worker) => { worker.postMessage('go'); return said(worker, 'used') }))
    console.log('done')`)
  expect({ code, signal, stdout, because: code === 0 ? '' : stderr }).toEqual({
    code: 0,
    signal: null,
    stdout: 'done\n',
    because: '',
  })
})

test('the main thread ends the process with worker threads busy, and hanging', async () => {
  const busy = start('for (;;) await Promise.all([encrypt(client), encrypt(client)])')
  const ends = []
  while (ends.length < TIMES) {
    ends.push(
      await run(`const workers = [${busy}, ${busy}]
        await Promise.all(workers.map((worker) => new Promise((resolve) => worker.once('message', resolve))))
        process.exit(9)`),
    )
  }
  for (const { code, signal, stderr } of ends)
    expect({ code, signal, because: code === 9 ? '' : stderr }).toEqual({ code: 9, signal: null, because: '' })
})
