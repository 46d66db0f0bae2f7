import type { Window } from '../harness/load.js'
import { buildProgram } from '../harness/native.js'
import type { Sample } from '../harness/result.js'
import { runTool } from '../harness/tool.js'
import { INPUTS, IV, type Output, type Task } from './operations.js'
import type { TokenPlace } from './token.js'

export interface Measured {
  sample: Sample
  /** the last result of each thread or caller */
  outputs: Output[]
}

/** Runs the C program once, with so many threads. */
export async function runLimit(
  place: TokenPlace,
  task: Task,
  options: Window & { threads: number },
): Promise<Measured> {
  const token = ['--module', place.module, '--token', place.label, '--pin-file', place.pinFile]
  const iv = task.operation === 'aes' ? ['--iv', IV.toString('hex')] : []
  const data = ['--data', INPUTS[task.operation].toString('hex'), ...iv]
  const work = ['--op', task.operation, '--keys', task.keys.join(','), '--threads', String(options.threads)]
  const window = ['--warmup-ms', String(options.warmupMs), '--measure-ms', String(options.measureMs)]
  const stdout = await runTool(await program(), [...token, ...data, ...work, ...window], place.env)
  const { outputs, ...sample } = JSON.parse(stdout) as Sample & { outputs: { key: number; hex: string }[] }
  return { sample, outputs: outputs.map(({ key, hex }) => ({ key, bytes: Buffer.from(hex, 'hex') })) }
}

let built: Promise<string> | undefined

function program(): Promise<string> {
  built ??= buildProgram('limit')
  return built
}
