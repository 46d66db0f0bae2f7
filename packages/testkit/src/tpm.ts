import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { askWorker } from './ask-worker.js'
import { debianVersion } from './debian-package.js'
import { foreignEnvironment } from './foreign-environment.js'
import { findModule, requirePrograms } from './requirements.js'
import { secret } from './secret.js'
import type { TestToken } from './test-token.js'
import type { KeySpec } from './token-worker.js'
import { listens, ServerProcess, type TokenServer } from './token-server.js'

const RESOURCE_MANAGER = 'com.intel.tss2.Tabrmd'

export interface TpmOptions {
  /** @defaultValue 'testkit-tpm' */
  label?: string
  /** @defaultValue none */
  keys?: KeySpec[]
  /** how often it may be killed, or a PIN be wrong, until it locks: a loss of power counts like a wrong PIN. @defaultValue the TPM's, 3 */
  maxTries?: number
}

/**
 * A TPM 2.0 in software (swtpm) as a token of tpm2-pkcs11. Between the two is the resource manager tpm2-abrmd, on a message bus of its
 * own: without one, the TPM has no room for a third key. `server` is the TPM; the resource manager is started anew with it.
 *
 * @throws TokenUnavailable
 */
export async function createTpmToken(options: TpmOptions = {}): Promise<TestToken> {
  const { label = 'testkit-tpm', keys = [], maxTries } = options
  const module = findModule(['pkcs11/libtpm2_pkcs11.so', 'libtpm2_pkcs11.so.1'], 'libtpm2-pkcs11-1')
  findModule(['libtss2-tcti-tabrmd.so.0'], 'libtss2-tcti-tabrmd0')
  findModule(['libtss2-tcti-swtpm.so.0'], 'libtss2-tcti-swtpm0')
  requirePrograms({
    swtpm: 'swtpm',
    tpm2_ptool: 'libtpm2-pkcs11-tools',
    tpm2_load: 'tpm2-tools',
    'tpm2-abrmd': 'tpm2-abrmd',
    'dbus-daemon': 'dbus-daemon',
    'dbus-send': 'dbus-bin',
    setpriv: 'util-linux',
  })
  const directory = mkdtempSync(join(tmpdir(), 'testkit-tpm-'))
  const store = join(directory, 'store')
  mkdirSync(store)
  const { bus, busAddress } = createBus(directory)
  const server = createTpm(directory, busAddress)
  const env = {
    TPM2_PKCS11_STORE: store,
    TPM2_PKCS11_TCTI: 'tabrmd:bus_type=session',
    TPM2TOOLS_TCTI: 'tabrmd:bus_type=session',
    TPM2_PKCS11_LOG_LEVEL: '0',
    TSS2_LOG: 'all+NONE',
    DBUS_SESSION_BUS_ADDRESS: busAddress,
  }
  await bus.start()
  await server.start()
  if (maxTries !== undefined) run('tpm2_dictionarylockout', ['--setup-parameters', `--max-tries=${maxTries}`], env)
  const pin = secret()
  const how = { how: 'standard', label, soPin: secret(), pin } as const
  const { slot } = askWorker({ module, env, token: 'uninitialized' }, { initialize: how, pin })
  const token = { module, env, token: { label } }

  const createKeys = (more: KeySpec[]): void => {
    const isAes = ({ type = 'aes-256' }: KeySpec) => type.startsWith('aes-')
    for (const key of more.filter(isAes)) addAesKey(label, pin, key, env)
    const others = more.filter((key) => !isAes(key))
    if (others.length > 0) askWorker(token, { pin, keys: others })
  }
  createKeys(keys)
  return {
    name: 'tpm2-pkcs11 on swtpm',
    module,
    initializeArgs: undefined,
    label,
    slot,
    pin,
    env,
    server,
    version: () => debianVersion('libtpm2-pkcs11-1'),
    createKeys,
    objects: () => askWorker(token, { pin, list: true }).objects,
    async remove() {
      await server.kill()
      // The bus goes with this process: GLib ends a process whose bus has gone before it.
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

/** C_GenerateKey makes no AES keys in this module; its own tool does, and takes an id as text only: the number's 8 hex digits. */
function addAesKey(
  label: string,
  pin: string,
  { label: name, id = 1, type = 'aes-256' }: KeySpec,
  env: TestToken['env'],
): void {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(id)
  const key = [`--algorithm=${type.replace('-', '')}`, `--key-label=${name}`, `--id=${bytes.toString('hex')}`]
  run('tpm2_ptool', ['addkey', `--label=${label}`, `--userpin=${pin}`, ...key], env)
}

function run(program: string, args: string[], env: TestToken['env']): void {
  execFileSync(program, args, { env: foreignEnvironment(env), stdio: ['ignore', 'ignore', 'inherit'] })
}

function createBus(directory: string): { bus: ServerProcess; busAddress: string } {
  const socket = join(directory, 'bus')
  const configuration = join(directory, 'bus.conf')
  const anyone = '<allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/>'
  writeFileSync(
    configuration,
    '<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"' +
      ' "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">' +
      `<busconfig><type>session</type><listen>unix:path=${socket}</listen><auth>EXTERNAL</auth>` +
      `<policy context="default">${anyone}</policy></busconfig>`,
  )
  const bus = new ServerProcess({
    command: 'dbus-daemon',
    args: [`--config-file=${configuration}`, '--nofork', '--nopidfile'],
    isReady: () => listens(socket),
  })
  return { bus, busAddress: `unix:path=${socket}` }
}

/** The TPM and its resource manager as one server: what stops, stops the TPM, and the resource manager with nobody behind it. */
function createTpm(directory: string, busAddress: string): TokenServer {
  const socket = join(directory, 'tpm')
  // where tpm2-tss looks for it
  const control = `${socket}.ctrl`
  const state = join(directory, 'state')
  mkdirSync(state)
  const flags = ['--flags', 'startup-clear,not-need-init', '--tpmstate', `dir=${state}`]
  const tpm = new ServerProcess({
    command: 'swtpm',
    args: [
      'socket',
      '--tpm2',
      '--server',
      `type=unixio,path=${socket}`,
      '--ctrl',
      `type=unixio,path=${control}`,
      ...flags,
    ],
    // to connect to the other one is to be its one client
    isReady: () => listens(control),
    leavesBehind: [socket, control],
  })
  const manager = new ServerProcess({
    command: 'tpm2-abrmd',
    args: ['--session', '--allow-root', '--flush-all', `--tcti=swtpm:path=${socket}`],
    env: { DBUS_SESSION_BUS_ADDRESS: busAddress },
    isReady: async () => hasOwner(busAddress, RESOURCE_MANAGER),
  })
  const kill = async (): Promise<void> => {
    await tpm.kill()
    await manager.kill()
  }
  const start = async (): Promise<void> => {
    await tpm.start()
    await manager.start()
  }
  return {
    get pid() {
      return tpm.pid
    },
    kill,
    start,
    stop: () => tpm.stop(),
    cont: () => tpm.cont(),
    async restart() {
      await kill()
      await start()
    },
  }
}

function hasOwner(busAddress: string, name: string): boolean {
  const ask = [`--bus=${busAddress}`, '--print-reply', '--dest=org.freedesktop.DBus', '/org/freedesktop/DBus']
  const { stdout } = spawnSync('dbus-send', [...ask, 'org.freedesktop.DBus.NameHasOwner', `string:${name}`], {
    encoding: 'utf8',
    env: foreignEnvironment(),
  })
  return stdout.includes('boolean true')
}
