import { availableParallelism } from 'node:os'
import { type Arguments, parseArguments, USAGE } from './arguments.js'
import { allCells, type Cell, nameOf, sample } from './cells.js'
import { MUTATIONS } from './mutations.js'
import { formatSummary, summarise } from './report.js'
import { type Finished, supervise } from './run/supervise.js'
import { runMutations } from './run-mutations.js'
import { INVARIANTS } from './violation.js'

/** The part of the cells in which the library may, for want of a client or of time, not come to call the function while it fails. */
const MOST_UNMET = 0.1

function log(message: string): void {
  process.stderr.write(`${message}\n`)
}

/** The cells that are meant. */
function choose({ cells: wanted, sample: count, seed }: Arguments, all: readonly Cell[]): Cell[] {
  const named = all.filter((cell) => wanted.length === 0 || wanted.some((part) => nameOf(cell).includes(part)))
  return sample(named, count ?? named.length, seed)
}

function showProgress(total: number): (finished: Finished) => void {
  let done = 0
  let broken = 0
  return ({ cell, violations }) => {
    done += 1
    broken += violations.length
    for (const { invariant, detail } of violations) log(`✗ ${nameOf(cell)}: ${INVARIANTS[invariant]}: ${detail}`)
    if (done % 100 === 0 && done < total) log(`${done} of ${total} cells, ${broken} violations`)
  }
}

async function main(given: Arguments): Promise<void> {
  if (given.mutations) {
    const missed = runMutations((line) => process.stdout.write(`${line}\n`))
    process.stdout.write(`${MUTATIONS.length} mutations, ${missed} not noticed\n`)
    if (missed > 0) process.exitCode = 1
    return
  }
  const { cells: all, excluded } = allCells()
  const cells = choose(given, all)
  if (given.list) {
    for (const cell of cells) process.stdout.write(`${nameOf(cell)}\n`)
    return
  }
  const begun = performance.now()
  const finished = await supervise(cells, given.workers ?? 2 * availableParallelism(), showProgress(cells.length))
  const seconds = (performance.now() - begun) / 1000
  const summary = summarise(finished, { seed: given.seed, excluded, seconds })
  process.stdout.write(given.json ? `${JSON.stringify(summary)}\n` : formatSummary(summary))
  const vain = summary.unmet.length > MOST_UNMET * cells.length
  if (vain) log(`in ${summary.unmet.length} of ${cells.length} cells nothing failed: are the rules obeyed?`)
  if (vain || summary.violations.length > 0 || finished.length < cells.length) process.exitCode = 1
}

const asked = parseArguments(process.argv.slice(2))
if ('problem' in asked) {
  process.stderr.write(`${asked.problem}\n\n${USAGE}`)
  process.exitCode = 2
} else {
  await main(asked)
}
