import { startChild } from '../harness/child.js'
import type { Context } from '../harness/context.js'
import type { Window } from '../harness/load.js'
import type { Measured } from './limit.js'
import type { Task } from './operations.js'
import type { TokenPlace } from './token.js'

/** The ways from Node to a token that are compared, each a file of `contenders/`. */
export const CONTENDERS = {
  'pkcs11-pool': { file: 'pkcs11-pool.js', arguments: [] },
  'pkcs11js sync': { file: 'pkcs11js.js', arguments: ['sync'] },
  'pkcs11js async': { file: 'pkcs11js.js', arguments: ['async'] },
} as const
export type ContenderName = keyof typeof CONTENDERS

/** What a contender's process is told first. */
export interface Setup {
  place: TokenPlace
  callers: number
}

/** What it is told each round. */
export interface Round extends Window {
  task: Task
  /** whether to watch the event loop's delay meanwhile */
  watchLoop: boolean
}

export interface Contender {
  run(round: Round): Promise<Measured>
}

/** A contender in a process of its own, logged in and with a session for each caller. */
export async function startContender(
  context: Context,
  name: ContenderName,
  setup: Setup,
  env: NodeJS.ProcessEnv = {},
): Promise<Contender> {
  const { file, arguments: args } = CONTENDERS[name]
  // pkcs11js's asynchronous methods run on libuv's threads, of which there are 4 unless more are asked for
  const UV_THREADPOOL_SIZE = String(Math.max(4, setup.callers))
  const child = startChild(context, file, {
    env: { ...setup.place.env, UV_THREADPOOL_SIZE, ...env },
    arguments: [...args],
  })
  await child.call('open', setup)
  return { run: (round) => child.call('run', round) }
}
