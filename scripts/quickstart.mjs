// What scripts/quickstart does once everything is installed and built: a token, the service on it, and a demonstration over HTTP.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { createSoftHsm } from '../packages/testkit/dist/index.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const { values: options } = parseArgs({
  options: {
    once: { type: 'boolean', default: false },
    port: { type: 'string', default: '8080' },
    data: { type: 'string', default: join(root, 'data') },
  },
})

class Stop extends Error {
  constructor(message, status = 1) {
    super(message)
    this.status = status
  }
}

/** The token in the data folder; made when there is none yet. */
function prepareToken(directory) {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const softHsm = createSoftHsm({ directory })
  const [known] = readdirSync(directory).filter((name) => name.endsWith('.pin'))
  if (known !== undefined) {
    console.log(`token: the one in ${directory}, made by an earlier run`)
    return { ...softHsm, serial: known.replace('.pin', ''), pinFile: join(directory, known) }
  }
  const token = softHsm.createToken({ label: 'quickstart' })
  writeFileSync(join(directory, `${token.serial}.so-pin`), token.soPin, { mode: 0o600 })
  console.log(`token: made in ${directory} (mode 0700), with a random PIN in ${token.pinFile} (mode 0600)`)
  return token
}

async function requireFreePort(port) {
  const probe = createServer()
  try {
    probe.listen(port, '127.0.0.1')
    await once(probe, 'listening')
  } catch (error) {
    throw new Stop(
      error.code === 'EADDRINUSE'
        ? `port ${port} of 127.0.0.1 is taken: end what listens there, or choose another one with --port`
        : `cannot listen on port ${port} of 127.0.0.1: ${error.message}`,
      4,
    )
  } finally {
    probe.close()
  }
}

/** Starts the real service. It gets a process group of its own, so that Ctrl-C reaches it through {@link stopService} alone. */
function startService(token, port) {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('SSM_'))
  return spawn(process.execPath, [join(root, 'packages/ssm/dist/cli.js'), 'serve'], {
    detached: true,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: {
      ...Object.fromEntries(inherited),
      ...token.env,
      SSM_PKCS_PATH: token.module,
      SSM_TOKEN_SERIAL: token.serial,
      SSM_PIN_FILE: token.pinFile,
      SSM_BIND_ADDR: `127.0.0.1:${port}`,
    },
  })
}

const hasEnded = (service) => service.exitCode !== null || service.signalCode !== null

async function stopService(service) {
  if (hasEnded(service)) return
  const ended = once(service, 'exit')
  service.kill('SIGTERM')
  const bounded = delay(15_000, undefined, { ref: false }).then(() => service.kill('SIGKILL'))
  await Promise.race([ended, bounded.then(() => ended)])
}

async function waitUntilReady(service, url) {
  for (let waited = 0; waited < 30_000; waited += 50) {
    if (hasEnded(service)) throw new Stop('SSM ended before it answered: see what it says above')
    const answer = await fetch(`${url}/readyz`).catch(() => undefined)
    if (answer?.ok === true) return
    if (waited > 0 && waited % 5_000 === 0) console.log('  ... still waiting for SSM to answer')
    await delay(50)
  }
  throw new Stop('SSM did not become ready within 30 s')
}

const hex = (text) => Buffer.from(text, 'utf8').toString('hex')

async function ask(url, method, path, body) {
  const response = await fetch(url + path, {
    method,
    ...(body !== undefined && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
  })
  return { status: response.status, body: await response.json() }
}

async function show(url, method, path, body) {
  console.log(`\n> ${method} ${path}${body === undefined ? '' : `\n> ${JSON.stringify(body)}`}`)
  const answer = await ask(url, method, path, body)
  console.log(`< ${answer.status}\n< ${JSON.stringify(answer.body)}`)
  if (answer.status >= 300) throw new Stop(`${method} ${path} was answered with ${answer.status}`)
  return answer.body
}

async function demonstrate(url) {
  const label = 'KEY_ENCRYPTION_AES256'
  const existing = await ask(url, 'POST', '/crypto/generate-aes-key', { id: 1, bits: 256 })
  if (existing.status !== 201 && existing.status !== 409) {
    throw new Stop(`the key could not be made: ${JSON.stringify(existing.body)}`)
  }
  console.log(
    `key: AES-256 ${label} with id 1, ${existing.status === 201 ? 'generated on the token' : 'made by an earlier run'}`,
  )

  const plain = hex('a subscriber’s secret')
  const sealed = await show(url, 'POST', '/crypto/encrypt', { key_label: label, plain, encryption_algorithm: 5 })
  const { id, cipher, iv } = sealed
  const opened = await show(url, 'POST', '/crypto/decrypt', {
    key_label: label,
    id,
    cipher,
    iv,
    encryption_algorithm: 5,
  })
  if (opened.plain !== plain) throw new Stop('decrypting did not give back what was encrypted')
  console.log(`\nwhat came back is what was sent: "${Buffer.from(opened.plain, 'hex').toString('utf8')}"`)
  await show(url, 'GET', '/pool/stats')
}

async function main() {
  const port = Number(options.port)
  if (!Number.isInteger(port) || port < 1 || port > 65_535)
    throw new Stop(`--port ${options.port} is no port: 1 to 65535`, 2)
  const asked = new Promise((stop) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => stop(signal))
  })

  await requireFreePort(port)
  const token = prepareToken(resolve(options.data))
  const url = `http://127.0.0.1:${port}`
  const service = startService(token, port)
  process.on('exit', () => hasEnded(service) || service.kill('SIGKILL'))
  try {
    const shown = waitUntilReady(service, url).then(() => demonstrate(url))
    shown.catch(() => {})
    if ((await Promise.race([shown, asked])) !== undefined) return
    if (options.once) return
    console.log(`\nSSM is up at ${url} (stop it with Ctrl-C)`)
    await Promise.race([
      asked,
      once(service, 'exit').then(() => {
        throw new Stop('SSM ended by itself: see what it says above')
      }),
    ])
    console.log('\nstopping')
  } finally {
    await stopService(service)
  }
}

try {
  await main()
} catch (error) {
  if (!(error instanceof Stop)) throw error
  console.error(`\n${error.message}`)
  process.exitCode = error.status
}
