// Dumps a process that has used secrets, and looks for them: the PIN, what was encrypted and decrypted, and a key's value.
//
//   node scripts/search-memory.mjs [--json]
//
// Three times: while the client is open, after the program has wiped what is its own, and after `close`. The first shows that the search
// finds what is there. Exit status 1 when a secret is found after the close, 2 when the first dump lacks one, 3 without gdb.
import { execFileSync, fork, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createSoftHsmToken } from '../packages/testkit/dist/index.js'

/** Of a secret each piece of this length is looked for, so that a copy of a part is found too. */
const PIECE = 16
const CHUNK = 1 << 26

if (spawnSync('gdb', ['--version']).status !== 0) {
  console.error('gdb is missing, which dumps the process: install it, on Debian or Ubuntu with: apt-get install gdb')
  process.exit(3)
}
const directory = mkdtempSync(join(tmpdir(), 'pkcs11-pool-memory-'))
const token = createSoftHsmToken()
try {
  const secrets = {
    'the PIN': Buffer.from(token.pin),
    'a short plaintext': randomBytes(48),
    'a long plaintext': randomBytes(1 << 16),
    'an imported key': randomBytes(32),
  }
  const moments = await runProgram(secrets)
  report(moments)
} finally {
  token.remove()
  rmSync(directory, { recursive: true, force: true })
}

/** Lets the program run, and dumps it whenever it says that it has come to one of its moments. */
async function runProgram(secrets) {
  const files = Object.entries(secrets).map(([name, bytes], at) => {
    const path = join(directory, `secret-${at}`)
    writeFileSync(path, bytes, { mode: 0o600 })
    return [name, path]
  })
  const options = { module: token.module, token: { label: token.label }, pin: { file: token.pinFile } }
  const program = fileURLToPath(new URL('./program-with-secrets.mjs', import.meta.url))
  const child = fork(program, [JSON.stringify(options), JSON.stringify(Object.fromEntries(files))], {
    env: { ...process.env, ...token.env },
    execArgv: ['--expose-gc'],
  })
  const ended = once(child, 'exit')
  const moments = {}
  child.on('message', (moment) => {
    moments[moment] = search(dump(child.pid), secrets)
    child.send('go on')
  })
  const [status, signal] = await ended
  if (status !== 0) throw new Error(`the program ended with ${signal ?? `status ${status}`}`)
  return moments
}

/** Memory that asks not to be dumped is dumped all the same. */
function dump(pid) {
  const path = join(directory, 'core')
  const commands = ['set pagination off', 'set dump-excluded-mappings on', `gcore ${path}`]
  execFileSync('gdb', ['-batch', '-nx', '-p', String(pid), ...commands.flatMap((command) => ['-ex', command])], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  return path
}

/** How often each secret is in a file, whole or a piece of it. */
function search(path, secrets) {
  const wanted = Object.entries(secrets).map(([name, bytes]) => ({ name, pieces: piecesOf(bytes), found: 0 }))
  const descriptor = openSync(path, 'r')
  const buffer = Buffer.alloc(CHUNK + PIECE)
  let at = 0
  for (let size = 1; size > 0; at += CHUNK) {
    size = readSync(descriptor, buffer, 0, buffer.length, at)
    const chunk = buffer.subarray(0, size)
    // what begins behind the chunk is found in the next one
    for (const each of wanted) each.found += each.pieces.reduce((sum, piece) => sum + count(chunk, piece), 0)
  }
  closeSync(descriptor)
  rmSync(path)
  return Object.fromEntries(wanted.map(({ name, found }) => [name, found]))
}

function piecesOf(bytes) {
  const length = Math.min(PIECE, bytes.length)
  // of a long one, pieces here and there: a copy of all of it has them all
  const step = Math.max(length, bytes.length >> 4)
  const pieces = []
  for (let start = 0; start + length <= bytes.length; start += step) pieces.push(bytes.subarray(start, start + length))
  return pieces
}

function count(chunk, piece) {
  let found = 0
  for (let at = chunk.indexOf(piece); at !== -1 && at < CHUNK; at = chunk.indexOf(piece, at + 1)) found += 1
  return found
}

function report(moments) {
  console.log(process.argv.includes('--json') ? JSON.stringify(moments) : describe(moments))
  const isIn = (moment) => Object.values(moments[moment])
  if (isIn('open').includes(0)) process.exitCode = 2
  else if (isIn('closed').some((found) => found > 0)) process.exitCode = 1
}

function describe(moments) {
  return Object.entries(moments)
    .map(([moment, found]) => {
      const parts = Object.entries(found).map(([name, times]) => `${name} ${times} times`)
      return `${moment}: ${parts.join(', ')}`
    })
    .join('\n')
}
