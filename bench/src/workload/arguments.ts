import { parseArgs } from 'node:util'

export interface WorkloadArguments {
  subscribers: number
  /** requests a second of the open loop */
  rate: number
  /** of the open loop, half before the rotation and half after it */
  seconds: number
  /** of the closed loop before it; 0 leaves it out */
  closedSeconds: number
  /** of the closed loop */
  callers: number
  /** requests of the rotation under way at a time */
  atOnce: number
  json: boolean
}

const DEFAULTS = { subscribers: 10_000, rate: 1_000, seconds: 30, 'closed-seconds': 10, callers: 32, 'at-once': 2_000 }

export const WORKLOAD_USAGE = `usage: npm run -s workload -- [--rate N] [--seconds N] [--subscribers N] [--json] ...

What a 5G core asks of the service: a real 'ssm serve' with accounts and audit on SoftHSM, four K4 keys, 80 % decrypt, 15 % encrypt, 5 % others,
first in a closed loop, then at a rate; in the middle of that the keys are rotated as the web console does it. Each answer is verified outside
the service. Prints the latencies, from when each request was due, by kind of operation.

  --subscribers N     subscribers, each with data under a K4 key and under the core's own (${DEFAULTS.subscribers})
  --rate N            requests a second of the open loop (${DEFAULTS.rate})
  --seconds N         how long at this rate, half before the rotation, half after it (${DEFAULTS.seconds})
  --closed-seconds N  how long in the closed loop; 0 leaves it out (${DEFAULTS['closed-seconds']})
  --callers N         callers of the closed loop, each again as soon as it has its answer (${DEFAULTS.callers})
  --at-once N         requests of the rotation under way at a time (${DEFAULTS['at-once']})
  --json              one JSON object on stdout in place of tables
  --help              this text

exit status: 0 each answer was right, 1 one was wrong or did not come, or the audit does not verify, 2 the command line is wrong
`

/** Reads the command line, or says what is wrong with it, or that help is asked for. */
export function parseWorkloadArguments(
  words: readonly string[],
): WorkloadArguments | { problem: string } | { help: true } {
  const value = { type: 'string' } as const
  const flag = { type: 'boolean' } as const
  const names = Object.keys(DEFAULTS) as (keyof typeof DEFAULTS)[]
  let given: Record<string, string | boolean | undefined>
  try {
    const options = { ...Object.fromEntries(names.map((name) => [name, value])), json: flag, help: flag }
    given = parseArgs({ args: [...words], options }).values
  } catch (error) {
    return { problem: error instanceof Error ? error.message : String(error) }
  }
  if (given.help === true) return { help: true }
  const read = { ...DEFAULTS }
  for (const name of names) {
    const text = given[name]
    if (text === undefined) continue
    const least = name === 'closed-seconds' ? 0 : 1
    read[name] = Number(text)
    if (!Number.isInteger(read[name]) || read[name] < least) {
      return { problem: `--${name} is ${JSON.stringify(text)}, expected a whole number from ${least} on` }
    }
  }
  const { 'closed-seconds': closedSeconds, 'at-once': atOnce, ...rest } = read
  return { ...rest, closedSeconds, atOnce, json: given.json === true }
}
