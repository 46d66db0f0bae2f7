/** What replicas say to each other, all on one channel. */
export type Message =
  | { kind: 'destroying'; from: string; number: number; label: string; id: number; times: number }
  | { kind: 'changed'; from: string; number: number; label: string }
  /** `number` of the sender `to` is known here */
  | { kind: 'known'; from: string; to: string; number: number }
  /** `from` is gone, or goes on under another name */
  | { kind: 'left'; from: string }

export const CHANNEL = 'ssm_keys'

/** Undefined for what is no message: anybody who may use the database can write to the channel. */
export function readMessage(text: string): Message | undefined {
  try {
    const message = JSON.parse(text) as Record<string, unknown> | null
    if (typeof message?.from !== 'string') return undefined
    switch (message.kind) {
      case 'destroying':
      case 'changed':
        return typeof message.label === 'string' && typeof message.number === 'number'
          ? (message as Message)
          : undefined
      case 'known':
        return typeof message.to === 'string' ? (message as Message) : undefined
      case 'left':
        return message as Message
      default:
        return undefined
    }
  } catch {
    return undefined
  }
}
