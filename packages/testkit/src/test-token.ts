import type { KeySpec, TokenObject } from './token-worker.js'
import type { TokenServer } from './token-server.js'

/** One initialised token of a real PKCS#11 module, and what a program needs to use it. */
export interface TestToken {
  /** the software behind the module */
  name: string
  /** the path of the PKCS#11 module */
  module: string
  /** what the module's C_Initialize wants to be told, where it wants something */
  initializeArgs: string | undefined
  label: string
  /** the slot's id */
  slot: number
  /** the user PIN; empty where it was left uninitialised */
  pin: string
  /** what the module reads from the process's environment; it has to be there before the module is initialised */
  env: Record<string, string>
  /** the process behind the module, where there is one that can die by itself */
  server: TokenServer | undefined
  /** the software's version, where a Debian package tells it */
  version(): string | undefined
  /** makes keys on the token from a process of its own, so that the caller's module sees them as another application's */
  createKeys(keys: KeySpec[]): void
  /** what is on the token, as a process of its own sees it that shares no code with the library under test */
  objects(): TokenObject[]
  /** ends what was started, and removes what was written; idempotent */
  remove(): void | Promise<void>
}

/** The machine lacks something that a token needs: its message says what, and what to install. */
export class TokenUnavailable extends Error {
  override name = 'TokenUnavailable'
}
