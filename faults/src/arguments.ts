export interface Arguments {
  seed: number
  sample: number | undefined
  /** names of cells, or parts of them */
  cells: string[]
  workers: number | undefined
  json: boolean
  list: boolean
  mutations: boolean
}

export const USAGE = `usage: npm run -s faults -- [options]

  --sample K      only K cells, drawn at random
  --seed N        what they are drawn with; without it a new one, which is printed
  --cell NAME     only the cells whose name (function:fault:moment) contains NAME; may be repeated
  --workers N     processes at a time; two for each processor unless given
  --list          the names of the cells, without running anything
  --json          one JSON object on stdout in place of text
  --mutations     break the library on purpose, and see that the product notices (npm run faults:mutations)
`

type Values = Omit<Arguments, 'cells'>

/** Reads the command line, or says what is wrong with it. */
export function parseArguments(words: readonly string[]): Arguments | { problem: string } {
  const cells: string[] = []
  const values: Values = {
    seed: newSeed(),
    sample: undefined,
    workers: undefined,
    json: false,
    list: false,
    mutations: false,
  }
  const left = [...words]
  for (let word = left.shift(); word !== undefined; word = left.shift()) {
    switch (word) {
      case '--json':
      case '--list':
      case '--mutations':
        values[word.slice(2) as 'json' | 'list' | 'mutations'] = true
        break
      case '--seed':
      case '--sample':
      case '--workers': {
        const value = left.shift()
        if (value === undefined || !/^\d{1,9}$/.test(value)) {
          return { problem: `got ${word} ${value ?? 'without a value'}, expected a whole number` }
        }
        values[word.slice(2) as 'seed' | 'sample' | 'workers'] = Number(value)
        break
      }
      case '--cell': {
        const value = left.shift()
        if (value === undefined)
          return { problem: 'got --cell without a name, expected function:fault:moment or a part of it' }
        cells.push(value)
        break
      }
      default:
        return { problem: `unknown option '${word}'` }
    }
  }
  return { ...values, cells }
}

function newSeed(): number {
  return Math.floor(Math.random() * 1_000_000)
}
