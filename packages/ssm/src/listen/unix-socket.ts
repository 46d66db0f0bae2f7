import { chmodSync, lstatSync, unlinkSync } from 'node:fs'
import { connect } from 'node:net'
import { once } from 'node:events'

/** Whoever may connect: the service's user and group. */
const SOCKET_MODE = 0o660

/** Removes a socket on which nobody listens: one that a killed process left. Whatever else is there stays. */
export async function removeStaleSocket(path: string): Promise<void> {
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket() !== true) return
  const socket = connect(path)
  try {
    await once(socket, 'connect')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ECONNREFUSED') unlinkSync(path)
  } finally {
    socket.destroy()
  }
}

/** Lets the service's group connect, and nobody else. */
export function protectSocket(path: string): void {
  chmodSync(path, SOCKET_MODE)
}
