import type { Client, ClientEvents } from 'pkcs11-pool'

/** Waits that no test has to notice. */
export const SOON = { initialBackoffMs: 5, maxBackoffMs: 20 }

/** Resolves when calls are sent to the token again. */
export function breakerCloses(client: Client): Promise<void> {
  return new Promise((resolve) => {
    const listener = ({ state }: Pick<ClientEvents['breaker'], 'state'>) => {
      if (state !== 'closed') return
      client.off('breaker', listener)
      resolve()
    }
    client.on('breaker', listener)
    listener(client.health().breaker)
  })
}
