import { afterAll } from 'vitest'
import { createSoftHsm, type SoftHsm, type SoftHsmToken, type TokenOptions } from './softhsm.js'

/**
 * Gives the test file a SoftHSM of its own: this process's `SOFTHSM2_CONF` points to it from now on, and it is removed after the
 * file's last test. It has to run before the module is initialised in this process, and each test file needs its own process
 * (vitest's pool `forks`), because in a worker thread `process.env` is a copy that no C code sees.
 */
export function useSoftHsm(): SoftHsm {
  const softHsm = createSoftHsm()
  process.env.SOFTHSM2_CONF = softHsm.env.SOFTHSM2_CONF
  afterAll(softHsm.remove)
  return softHsm
}

/** {@link useSoftHsm} with one token in it. */
export function useSoftHsmToken(options?: TokenOptions): SoftHsmToken {
  return useSoftHsm().createToken(options)
}
