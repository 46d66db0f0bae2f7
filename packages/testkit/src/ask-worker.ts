import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { TokenAnswer, TokenRequest } from './token-worker.js'

const program = fileURLToPath(new URL('../dist/token-worker.js', import.meta.url))

/** Which token of which module, seen from which environment. */
export interface WorkerTarget {
  module: string
  env: Record<string, string>
  initializeArgs?: string | undefined
  token?: TokenRequest['token']
}

/** Has a process of its own work on a token. */
export function askWorker(target: WorkerTarget, request: Partial<TokenRequest>): TokenAnswer {
  const { module, env, initializeArgs, token = 'uninitialized' } = target
  const whole: TokenRequest = {
    module,
    initializeArgs: initializeArgs ?? null,
    token,
    initialize: null,
    pin: null,
    keys: [],
    list: false,
    ...request,
  }
  const answer = execFileSync(process.execPath, [program], {
    input: JSON.stringify(whole),
    env: { ...process.env, ...env },
    encoding: 'utf8',
    stdio: 'pipe',
  })
  // the other side of this pipe is `token-worker.ts`, which writes exactly one such object
  return JSON.parse(answer) as TokenAnswer
}
