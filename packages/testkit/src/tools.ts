import { execFileSync } from 'node:child_process'
import type { TestToken } from './test-token.js'

/**
 * Runs OpenSC's pkcs11-tool on a token as its user and returns what it prints. The PIN travels in the environment.
 *
 * @example pkcs11Tool(token, ['--list-objects'])
 */
export function pkcs11Tool(
  token: Pick<TestToken, 'module' | 'slot' | 'pin' | 'env'>,
  args: string[],
  options: { module?: string; login?: boolean } = {},
): string {
  const { module = token.module, login = true } = options
  const user = login ? ['--login', '--pin', 'env:TESTKIT_PIN'] : []
  return execFileSync('pkcs11-tool', ['--module', module, '--slot', String(token.slot), ...user, ...args], {
    encoding: 'utf8',
    env: { ...process.env, ...token.env, TESTKIT_PIN: token.pin },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}

/** Runs softhsm2-util in a token's SoftHSM directory and returns what it prints. */
export function softhsm2Util(token: { env: { SOFTHSM2_CONF: string } }, args: string[]): string {
  return execFileSync('softhsm2-util', args, {
    encoding: 'utf8',
    env: { ...process.env, ...token.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}
