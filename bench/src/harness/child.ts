import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Context } from './context.js'

/** What a contender's process understands; see `serve`. */
export interface Child {
  call<T>(method: string, parameters: unknown): Promise<T>
}

/** What goes to the child and comes back. */
export interface Request {
  id: number
  method: string
  parameters: unknown
}
export type Response = { id: number; value: unknown } | { id: number; error: string }

interface Pending {
  resolve(value: unknown): void
  reject(error: Error): void
}

/**
 * Starts a contender in a process of its own: a PKCS#11 library keeps its login for the whole process, so that two
 * contenders in one would share it. `file` is relative to `contenders/`.
 */
export function startChild(
  context: Context,
  file: string,
  options: { env?: NodeJS.ProcessEnv; arguments?: string[] } = {},
): Child {
  const child = fork(fileURLToPath(new URL(`../contenders/${file}`, import.meta.url)), options.arguments ?? [], {
    env: { ...process.env, ...options.env },
    serialization: 'advanced',
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  })
  child.stdout?.pipe(process.stderr, { end: false })
  const pending = new Map<number, Pending>()
  let lastId = 0
  let ended: string | null = null

  child.on('message', (response: Response) => {
    const waiting = pending.get(response.id)
    pending.delete(response.id)
    if ('error' in response) waiting?.reject(new Error(`${file}: ${response.error}`))
    else waiting?.resolve(response.value)
  })
  const exited = new Promise<void>((resolve) => {
    child.on('exit', (code, signal) => {
      ended = `${file} ended with ${signal ?? `status ${code}`}`
      for (const waiting of pending.values()) waiting.reject(new Error(ended))
      pending.clear()
      resolve()
    })
  })
  context.defer(async () => {
    if (ended !== null) return
    child.disconnect()
    const kill = setTimeout(() => child.kill('SIGKILL'), 5_000)
    await exited
    clearTimeout(kill)
  })

  return {
    call: <T>(method: string, parameters: unknown) =>
      new Promise<T>((resolve, reject) => {
        if (ended !== null) {
          reject(new Error(ended))
          return
        }
        const id = ++lastId
        pending.set(id, { resolve, reject })
        child.send({ id, method, parameters } satisfies Request)
      }),
  }
}
