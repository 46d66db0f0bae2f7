import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import type { TokenPlace } from '../crypto/token.js'
import type { Context } from '../harness/context.js'

const program = fileURLToPath(new URL('open-service.js', import.meta.url))

/** Starts the service in a process of its own and gives its address once it answers. */
export async function startServer(
  context: Context,
  place: TokenPlace,
  settings: Record<string, string>,
): Promise<string> {
  const address = `127.0.0.1:${await freePort()}`
  const server = spawn(process.execPath, [program], {
    env: {
      ...process.env,
      ...place.env,
      SSM_PKCS_PATH: place.module,
      SSM_TOKEN_LABEL: place.label,
      SSM_PIN_FILE: place.pinFile,
      SSM_BIND_ADDR: address,
      ...settings,
    },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const exited = once(server, 'exit')
  context.defer(async () => {
    if (server.exitCode !== null || server.signalCode !== null) return
    server.kill('SIGTERM')
    const kill = setTimeout(() => server.kill('SIGKILL'), 10_000)
    await exited
    clearTimeout(kill)
  })

  const url = `http://${address}`
  while (!(await answers(url))) {
    if (server.exitCode !== null) throw new Error(`the service ended with status ${server.exitCode} before it answered`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  return url
}

async function answers(url: string): Promise<boolean> {
  try {
    return (await fetch(`${url}/healthz`)).ok
  } catch {
    return false
  }
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const bound = probe.address()
  probe.close()
  await once(probe, 'close')
  if (bound === null || typeof bound === 'string') throw new Error('no free port could be found')
  return bound.port
}
