import { fileURLToPath } from 'node:url'
import type { Sample } from '../harness/result.js'
import { runTool } from '../harness/tool.js'

const SCRIPT = fileURLToPath(new URL('../../lua/encrypt.lua', import.meta.url))

/** Posts the body over so many connections, each again as soon as it has its answer. Throws unless every answer was a success. */
export async function runWrk(
  url: string,
  body: string,
  load: { connections: number; seconds: number },
): Promise<Sample> {
  const options = ['--threads', '1', '--connections', String(load.connections), '--duration', `${load.seconds}s`]
  const target = ['--timeout', '10s', '--script', SCRIPT, url, '--', body]
  const stdout = await runTool('wrk', [...options, ...target])
  const { failed, broken, ...sample } = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Sample & {
    failed: number
    broken: number
  }
  if (failed + broken > 0 || sample.ops_per_s === 0) {
    throw new Error(`${url}: ${failed} answers were errors and ${broken} never came, at ${sample.ops_per_s} a second`)
  }
  return sample
}
