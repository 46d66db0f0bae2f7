export interface SoakArguments {
  minutes: number
  seed: number
  json: boolean
}

export const SOAK_USAGE = `usage: npm run -s soak -- [--minutes N] [--seed N] [--json]

A mixed load on one SoftHSM token behind the fault proxy, a fault every few seconds, each answer verified outside the token. Prints what
the process holds (memory, sessions, threads, descriptors) and fits a slope through it.

  --minutes N  how long (30)
  --seed N     which faults, in which order (1)
  --json       one JSON object on stdout in place of the table

exit status: 0 all is flat and right, 1 something is not, 2 the command line is wrong
`

/** Reads the command line, or says what is wrong with it. */
export function parseSoakArguments(words: readonly string[]): SoakArguments | { problem: string } {
  const read: SoakArguments = { minutes: 30, seed: 1, json: false }
  for (let at = 0; at < words.length; at += 1) {
    const word = words[at]
    if (word === '--json') read.json = true
    else if (word === '--minutes' || word === '--seed') {
      const name = word === '--minutes' ? 'minutes' : 'seed'
      at += 1
      const value = Number(words[at])
      if (!(value > 0) || !Number.isFinite(value)) {
        return { problem: `${word} is ${JSON.stringify(words[at])}, expected a number above 0` }
      }
      read[name] = value
    } else return { problem: `unknown option '${word}', expected --minutes, --seed or --json` }
  }
  return read
}
