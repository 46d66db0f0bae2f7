import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildModule } from 'testkit'
import { afterAll, expect, test } from 'vitest'

const LIBRARY = new URL('../../dist/index.js', import.meta.url).href
const module = buildModule(fileURLToPath(new URL('../support/exit-module.c', import.meta.url)))
const directory = mkdtempSync(join(tmpdir(), 'pkcs11-pool-destructors-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))
let runs = 0

/** Has the library call the module. */
const CALL = `import(${JSON.stringify(LIBRARY)}).then(({ inspectModule }) => inspectModule(${JSON.stringify(module)}))`
const IN_A_WORKER = `import { Worker } from 'node:worker_threads'
  new Worker(${JSON.stringify(CALL)}, { eval: true })`

/** Ends while the module's call is reading what the module's destructor, registered after everybody else's, takes away. */
const program = (start: string, end: string): string => `
  import { existsSync, writeFileSync } from 'node:fs'
  import { setImmediate } from 'node:timers/promises'
  const files = process.env.EXIT_MODULE_FILES
  ${start}
  while (!existsSync(files + '.inside')) await setImmediate()
  process.on('exit', () => {
    writeFileSync(files + '.leaving', '')
    while (!existsSync(files + '.registered'));
    console.log('said at exit')
  })
  ${end}
`

interface End {
  status: number | null
  signal: NodeJS.Signals | null
  stdout: string
  /** what the module had written without a flush */
  log: string
}

async function run(source: string, env: Record<string, string>): Promise<End> {
  runs += 1
  const files = join(directory, String(runs))
  const child = spawn(process.execPath, ['--input-type=module', '-e', source], {
    env: { ...process.env, EXIT_MODULE_FILES: files, ...env },
    stdio: ['ignore', 'pipe', 'ignore'],
    // what does not end is killed, and fails by that
    timeout: 20_000,
    killSignal: 'SIGKILL',
  })
  let stdout = ''
  child.stdout.on('data', (chunk: Buffer) => (stdout += String(chunk)))
  const [status, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null]
  return { status, signal, stdout, log: readFileSync(`${files}.log`, 'utf8') }
}

const exits = 'process.exit(7)'
const throws = "throw new Error('mine')"
const ended = { status: 7, signal: null, stdout: 'said at exit\n', log: 'said by the module' }

test.each<[string, string, string, string, End]>([
  ['process.exit in C_Initialize', 'C_Initialize', CALL, exits, ended],
  ['process.exit in a later call', 'C_GetInfo', CALL, exits, ended],
  ['process.exit of the main thread in C_Initialize of a worker', 'C_Initialize', IN_A_WORKER, exits, ended],
  ['process.exit of the main thread in a later call of a worker', 'C_GetInfo', IN_A_WORKER, exits, ended],
  ['an exception nobody catches in C_Initialize', 'C_Initialize', CALL, throws, { ...ended, status: 1 }],
])('%s does not run the destructors of the module', async (_, call, start, end, expected) => {
  expect(await run(program(start, end), { EXIT_MODULE_CALL: call })).toEqual(expected)
})

test('a call that keeps a stream to itself for ever does not keep the process', async () => {
  const env = { EXIT_MODULE_CALL: 'C_GetInfo', EXIT_MODULE_READS_INPUT: '1' }
  // What is behind that stream cannot be flushed.
  expect(await run(program(CALL, exits), env)).toEqual({ ...ended, log: expect.anything() })
})
