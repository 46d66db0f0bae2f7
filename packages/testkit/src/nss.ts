import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { askWorker } from './ask-worker.js'
import { debianVersion } from './debian-package.js'
import { findModule } from './requirements.js'
import { secret } from './secret.js'
import type { TestToken } from './test-token.js'
import type { KeySpec } from './token-worker.js'

/**
 * The softokn of Mozilla's NSS with a database of its own. It runs inside the process, reads nothing from the environment, and takes
 * its configuration from C_Initialize: `initializeArgs`.
 *
 * @throws TokenUnavailable
 */
export function createNssToken(options: { label?: string; keys?: KeySpec[] } = {}): TestToken {
  const { label = 'testkit-nss', keys = [] } = options
  const module = findModule(['libsoftokn3.so', 'nss/libsoftokn3.so'], 'libnss3')
  const directory = mkdtempSync(join(tmpdir(), 'testkit-nss-'))
  const initializeArgs = [
    `configdir='sql:${directory}'`,
    "certPrefix='' keyPrefix='' secmod='secmod.db' flags=noModDB",
    `dbTokenDescription='${label}'`,
  ].join(' ')
  const pin = secret()
  const token = { module, env: {}, initializeArgs, token: { label } }
  const { slot } = askWorker(token, { initialize: { how: 'nss', label, pin }, pin, keys })
  return {
    name: 'NSS softokn',
    module,
    initializeArgs,
    label,
    slot,
    pin,
    env: {},
    server: undefined,
    version: () => debianVersion('libnss3'),
    createKeys: (more) => void askWorker(token, { pin, keys: more }),
    objects: () => askWorker(token, { pin, list: true }).objects,
    remove: () => rmSync(directory, { recursive: true, force: true }),
  }
}
