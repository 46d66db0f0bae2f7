import { loadConfig } from '../config/config.js'
import { startServer } from '../server.js'
import { EXIT } from './exit-codes.js'

/** What a shell makes of a process that a signal ended: 128 and the signal's number. */
const SIGNALS = { SIGINT: 130, SIGTERM: 143 } as const

/** Serves until SIGINT or SIGTERM, then stops in order. A second signal ends the process at once. */
export async function serve(flags: ReadonlyMap<string, string>): Promise<number> {
  const server = await startServer(loadConfig(process.env, flags, tell))
  const stopped = stopSignal()
  const { reloadCertificates } = server
  if (reloadCertificates !== undefined) process.on('SIGHUP', reloadCertificates)
  process.stdout.write(`ssm: listening on ${server.url}\n`)
  // a terminal's Ctrl-C is in a hurry, and no balancer is before it
  const { abandoned } = await server.close({ gently: (await stopped) === 'SIGTERM' })
  if (abandoned > 0)
    process.stderr.write(`ssm: stopped with ${abandoned} sessions that the HSM did not give back in time\n`)
  // a call that hangs inside the HSM's library would keep the process alive
  process.exit(EXIT.OK)
}

function tell(line: string): void {
  process.stderr.write(`ssm: ${line}\n`)
}

function stopSignal(): Promise<string> {
  return new Promise((resolve) => {
    let stopping = false
    for (const [signal, status] of Object.entries(SIGNALS)) {
      process.on(signal, () => {
        if (stopping) process.exit(status)
        stopping = true
        resolve(signal)
      })
    }
  })
}
