import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { Socket } from 'node:net'
import { join } from 'node:path'
import { askWorker } from './ask-worker.js'
import { debianVersion } from './debian-package.js'
import { findModule, requirePrograms } from './requirements.js'
import { secret } from './secret.js'
import { type TestToken, TokenUnavailable } from './test-token.js'
import type { KeySpec } from './token-worker.js'
import { greets, ServerProcess } from './token-server.js'

// All of these are compiled into openCryptoki: a machine has one.
const FOLDER = '/var/lib/opencryptoki/swtok'
const SOCKET = '/var/run/pkcsslotd.socket'
const SHARED_MEMORY = '/dev/shm/var.lib.opencryptoki.swtok'
const PID_FILE = '/var/run/pkcsslotd.pid'
/** says that what is in the folder was made here and may be thrown away */
const MARK = join(FOLDER, '.made-by-testkit')

const FACTORY_LABEL = 'IBM OS PKCS#11'
const FACTORY_SO_PIN = '87654321'

/**
 * openCryptoki's software token and its `pkcsslotd`. A machine has only one, so it is locked until `remove`, other processes wait for it,
 * and nothing is touched that somebody else has initialised.
 *
 * @throws TokenUnavailable
 */
export async function createOpenCryptokiToken(options: { label?: string; keys?: KeySpec[] } = {}): Promise<TestToken> {
  const { label = 'testkit-ock', keys = [] } = options
  const module = findModule(['pkcs11/libopencryptoki.so', 'opencryptoki/libopencryptoki.so'], 'opencryptoki')
  requirePrograms({ pkcsslotd: 'opencryptoki', setpriv: 'util-linux', flock: 'util-linux' })
  if (process.getuid?.() !== 0) throw new TokenUnavailable('pkcsslotd can only be started by root: run as root')
  const unlock = await lockMachine()
  const server = new ServerProcess({
    command: 'pkcsslotd',
    args: ['-f'],
    isReady: () => greets(SOCKET),
    leavesBehind: [SOCKET, PID_FILE],
  })
  try {
    if (await greets(SOCKET)) throw new TokenUnavailable('pkcsslotd runs already: stop it, the tests start their own')
    resetToken()
    await server.start()
    const [soPin, pin] = [secret(8), secret(8)]
    const how = { how: 'opencryptoki', label, soPin, pin, knownSoPin: FACTORY_SO_PIN } as const
    writeFileSync(MARK, '')
    const { slot } = askWorker({ module, env: {}, token: 'uninitialized' }, { initialize: how, pin, keys })
    const token = { module, env: {}, token: { label } }
    return {
      name: 'openCryptoki',
      module,
      initializeArgs: undefined,
      label,
      slot,
      pin,
      env: {},
      server,
      version: () => debianVersion('opencryptoki'),
      createKeys: (more) => void askWorker(token, { pin, keys: more }),
      objects: () => askWorker(token, { pin, list: true }).objects,
      async remove() {
        await server.kill()
        resetToken()
        unlock()
      },
    }
  } catch (error) {
    await server.kill()
    unlock()
    throw error
  }
}

/** Makes the token what it was when it was installed. @throws TokenUnavailable where it is somebody's */
function resetToken(): void {
  const data = join(FOLDER, 'NVTOK.DAT')
  const isUsed = existsSync(data) && !readFileSync(data).includes(FACTORY_LABEL)
  if (isUsed && !existsSync(MARK)) {
    throw new TokenUnavailable(`${FOLDER} holds a token that was not made by these tests: move it away to run them`)
  }
  for (const name of ['NVTOK.DAT', 'MK_SO', 'MK_USER']) rmSync(join(FOLDER, name), { force: true })
  const objects = join(FOLDER, 'TOK_OBJ')
  for (const name of existsSync(objects) ? readdirSync(objects) : []) rmSync(join(objects, name), { recursive: true })
  rmSync(SHARED_MEMORY, { force: true })
  rmSync(MARK, { force: true })
}

/** Waits until no other process has the machine's openCryptoki; the lock ends with this process at the latest. */
async function lockMachine(): Promise<() => void> {
  const holder = spawn('flock', ['/run/lock/testkit-opencryptoki', 'sh', '-c', 'echo locked; exec cat'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  await once(holder.stdout, 'data')
  holder.unref()
  for (const pipe of [holder.stdin, holder.stdout]) if (pipe instanceof Socket) pipe.unref()
  return () => void holder.stdin.end()
}
