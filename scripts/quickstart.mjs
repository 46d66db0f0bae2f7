// What scripts/quickstart does once everything is installed and built: a data folder, the service on it, a login and a demonstration over HTTP.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createServer } from 'node:net'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const root = fileURLToPath(new URL('..', import.meta.url))
const cli = join(root, 'packages/ssm/dist/cli.js')
const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('SSM_')))
/** who the demonstration logs in as */
const ACCOUNT = 'quickstart'
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

/** Runs the command and gives what it prints. Settings of other services in this environment do not count. */
function ssm(...args) {
  const { status, stdout, error } = spawnSync(process.execPath, [cli, ...args], {
    encoding: 'utf8',
    env: environment,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  if (status === 0) return stdout
  throw new Stop(
    `ssm ${args.slice(0, 2).join(' ')} failed${error === undefined ? ': see what it says above' : `: ${error.message}`}`,
  )
}

/** The data folder, made when there is none yet, and a password for the demonstration. */
function prepareData(directory) {
  const known = existsSync(join(directory, 'ssm.yaml'))
  if (known) console.log(`data: ${directory}, made by an earlier run: token, keys and accounts are those of then`)
  else process.stdout.write(ssm('init', '--data', directory))
  const accounts = JSON.parse(ssm('account', 'list', '--json', '--data', directory)).accounts
  // an account of its own, with a new password each time: those of the others stay as they were shown
  const verb = accounts.some((each) => each.service_id === ACCOUNT)
    ? ['reset-password', ACCOUNT]
    : ['add', ACCOUNT, '--role', 'webconsole']
  return JSON.parse(ssm('account', ...verb, '--json', '--data', directory)).password
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
function startService(directory, port) {
  return spawn(process.execPath, [cli, 'serve', '--data', directory, '--listen', `127.0.0.1:${port}`], {
    detached: true,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: environment,
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

async function ask({ url, token }, method, path, body) {
  const response = await fetch(url + path, {
    method,
    headers: {
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
      ...(body !== undefined && { 'content-type': 'application/json' }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  })
  return { status: response.status, body: await response.json() }
}

async function show(service, method, path, body) {
  console.log(
    `\n> ${method} ${path}\n> Authorization: Bearer ${service.token.slice(0, 12)}...${body === undefined ? '' : `\n> ${JSON.stringify(body)}`}`,
  )
  const answer = await ask(service, method, path, body)
  console.log(`< ${answer.status}\n< ${JSON.stringify(answer.body)}`)
  if (answer.status >= 300) throw new Stop(`${method} ${path} was answered with ${answer.status}`)
  return answer.body
}

async function demonstrate(url, password) {
  const label = 'KEY_ENCRYPTION_AES256'
  const login = await ask({ url }, 'POST', '/login', { service_id: ACCOUNT, password })
  if (login.status !== 200) throw new Stop(`the login failed: ${JSON.stringify(login.body)}`)
  console.log(`\n> POST /login\n> {"service_id":"${ACCOUNT}","password":"..."}\n< 200, with a token for 24 hours`)
  const service = { url, token: login.body.token }
  const existing = await ask(service, 'POST', '/crypto/generate-aes-key', { id: 1, bits: 256 })
  if (existing.status !== 201 && existing.status !== 409) {
    throw new Stop(`the key could not be made: ${JSON.stringify(existing.body)}`)
  }
  console.log(
    `key: AES-256 ${label} with id 1, ${existing.status === 201 ? 'generated on the token' : 'made by an earlier run'}`,
  )

  const plain = hex('a subscriber’s secret')
  const sealed = await show(service, 'POST', '/crypto/encrypt', { key_label: label, plain, encryption_algorithm: 5 })
  const { id, cipher, iv } = sealed
  const opened = await show(service, 'POST', '/crypto/decrypt', {
    key_label: label,
    id,
    cipher,
    iv,
    encryption_algorithm: 5,
  })
  if (opened.plain !== plain) throw new Stop('decrypting did not give back what was encrypted')
  console.log(`\nwhat came back is what was sent: "${Buffer.from(opened.plain, 'hex').toString('utf8')}"`)
  await show(service, 'GET', '/pool/stats')
}

async function main() {
  const port = Number(options.port)
  if (!Number.isInteger(port) || port < 1 || port > 65_535)
    throw new Stop(`--port ${options.port} is no port: 1 to 65535`, 2)
  const asked = new Promise((stop) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => stop(signal))
  })

  await requireFreePort(port)
  const directory = resolve(options.data)
  const password = prepareData(directory)
  const url = `http://127.0.0.1:${port}`
  const service = startService(directory, port)
  process.on('exit', () => hasEnded(service) || service.kill('SIGKILL'))
  try {
    const shown = waitUntilReady(service, url).then(() => demonstrate(url, password))
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
