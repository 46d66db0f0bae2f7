/** What stands for the address of a client on a Unix socket, which has none. */
export const UNIX_SOCKET = 'unix'

/** Where a request comes from: an IP address, or {@link UNIX_SOCKET}. */
export function addressOf({ ip }: { ip: string | undefined }): string {
  // Fastify's type has it always there, but it is the socket's remote address
  return ip ?? UNIX_SOCKET
}

/** Who an address belongs to: of IPv6, a customer usually has a whole /64. */
export function networkOf(address: string): string {
  if (!address.includes(':') || address.includes('.')) return address
  const [head = '', tail] = address.split('::')
  const front = head.split(':').filter((group) => group !== '')
  const back = tail === undefined ? [] : tail.split(':').filter((group) => group !== '')
  const zeros = Array<string>(Math.max(0, 8 - front.length - back.length)).fill('0')
  return `${[...front, ...zeros, ...back].slice(0, 4).join(':')}::/64`
}
