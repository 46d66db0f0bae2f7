import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { askWorker } from './ask-worker.js'
import { debianVersion } from './debian-package.js'
import { findModule, requirePrograms } from './requirements.js'
import type { TestToken } from './test-token.js'
import { listens, ServerProcess } from './token-server.js'

/**
 * Another token behind `p11-kit server`: the module runs in that process, and `p11-kit-client.so` reaches it over a Unix socket. Killing
 * the server is a real loss of the device. The token it stands before is removed with it.
 *
 * @throws TokenUnavailable
 */
export async function createP11KitToken(behind: TestToken): Promise<TestToken> {
  if (behind.initializeArgs !== undefined) throw new Error(`p11-kit server passes no arguments to ${behind.name}`)
  const module = findModule(['pkcs11/p11-kit-client.so'], 'p11-kit-modules')
  requirePrograms({ 'p11-kit': 'p11-kit', setpriv: 'util-linux' })
  const directory = mkdtempSync(join(tmpdir(), 'testkit-p11-kit-'))
  const socket = join(directory, 'socket')
  const server = new ServerProcess({
    command: 'p11-kit',
    args: ['server', '--foreground', '--provider', behind.module, '--name', socket, 'pkcs11:'],
    env: behind.env,
    isReady: () => listens(socket),
    leavesBehind: [socket],
  })
  await server.start()
  const { label, pin } = behind
  const env = { P11_KIT_SERVER_ADDRESS: `unix:path=${socket}` }
  const token = { module, env, token: { label } }
  return {
    name: `${behind.name} behind p11-kit server`,
    module,
    initializeArgs: undefined,
    label,
    // p11-kit numbers the slots anew
    slot: askWorker(token, {}).slot,
    pin,
    env,
    server,
    version: () => debianVersion('p11-kit'),
    createKeys: (keys) => void askWorker(token, { pin, keys }),
    objects: () => askWorker(token, { pin, list: true }).objects,
    async remove() {
      await server.kill()
      rmSync(directory, { recursive: true, force: true })
      await behind.remove()
    },
  }
}
