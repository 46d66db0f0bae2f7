import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'

/**
 * A Node process of its own that loads a module, initialises it and opens `session` at its first slot with a token; then it runs
 * `script`, in which `p` is the binding. It ends by itself when the script has.
 */
export function startApplication(module: string, script: string, env: NodeJS.ProcessEnv = {}): ChildProcess {
  const program = `
    const p = new (require('pkcs11js').PKCS11)()
    p.load(${JSON.stringify(module)})
    p.C_Initialize()
    const session = p.C_OpenSession(p.C_GetSlotList(true)[0], 4)
    ${script}`
  return spawn(process.execPath, ['-e', program], {
    cwd: import.meta.dirname,
    env: { ...process.env, ...env },
    stdio: ['pipe', 'ignore', 'inherit'],
  })
}

/** How a process ended: its status, or the signal. */
export async function ended(child: ChildProcess): Promise<number | string | null> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  return child.exitCode ?? child.signalCode
}
