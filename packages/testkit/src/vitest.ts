import { afterAll, expect, test } from 'vitest'
import { createPostgres, type Postgres } from './postgres.js'
import { createSoftHsm, type SoftHsm, type SoftHsmToken, type TokenOptions } from './softhsm.js'
import { type TestToken, TokenUnavailable } from './test-token.js'

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

/**
 * Gives the test file a token, which is removed after the file's last test, and this process the environment that its module reads. It
 * has to run before the module is initialised, in a process of the file's own. On a machine that lacks what the token needs it is
 * undefined, and a skipped test says why; with `CI` set it fails there.
 *
 * @example
 * ```ts
 * const token = await useToken(() => createOpenCryptokiToken())
 * ```
 */
export async function useToken(create: () => TestToken | Promise<TestToken>): Promise<TestToken | undefined> {
  const token = await useIfThere(create)
  if (token !== undefined) Object.assign(process.env, token.env)
  return token
}

/** Gives the test file a PostgreSQL of its own, removed after its last test; on machines without one as {@link useToken}. */
export function usePostgres(): Promise<Postgres | undefined> {
  return useIfThere(createPostgres)
}

async function useIfThere<T extends { remove(): unknown }>(create: () => T | Promise<T>): Promise<T | undefined> {
  try {
    const made = await create()
    afterAll(async () => {
      await made.remove()
    })
    return made
  } catch (error) {
    if (!(error instanceof TokenUnavailable) || (process.env.CI ?? '') !== '') throw error
    const { message } = error
    test(`has what it needs on this machine (${message})`, ({ skip }) => {
      skip(message)
      expect.unreachable()
    })
    return undefined
  }
}
