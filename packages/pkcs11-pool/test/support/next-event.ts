import type { Client, ClientEventName, ClientEvents } from '../../src/index.js'

/** The next event of a kind that fulfils a condition; listen before what causes it. */
export function nextEvent<N extends ClientEventName>(
  client: Client,
  name: N,
  condition: (event: ClientEvents[N]) => boolean = () => true,
): Promise<ClientEvents[N]> {
  return new Promise((resolve) => {
    const listener = (event: ClientEvents[N]) => {
      if (!condition(event)) return
      client.off(name, listener)
      resolve(event)
    }
    client.on(name, listener)
  })
}

/** Resolves when calls are sent again. */
export async function breakerCloses(client: Client): Promise<void> {
  if (client.health().breaker.state === 'closed') return
  await nextEvent(client, 'breaker', ({ state }) => state === 'closed')
}
