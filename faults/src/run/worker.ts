import { LoopWatch } from '../cell/loop-watch.js'
import { runCell } from '../cell/run-cell.js'
import { World } from '../cell/world.js'
import type { Order, Report } from './messages.js'

// A process that runs one cell after the other. Should one of them end it, that is the supervisor's to notice.

const warm = process.argv[2] === 'warm'
const world = await World.create({ loaded: warm })
// The first runs of everything compile it, which is nobody's measure of the loop.
if (warm) await runCell(world, { fn: 'C_Digest', fault: 'caller', moment: 'busy' }, { judgeLoop: false })

function tell(report: Report): void {
  process.send?.(report)
}

process.on('message', ({ cell }: Order) => {
  runCell(world, cell, { judgeLoop: warm && LoopWatch.available }).then(
    (result) => tell({ result }),
    (error: unknown) => {
      process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`)
      process.exitCode = 70
      process.disconnect()
    },
  )
})
process.on('disconnect', () => {
  void world.remove().finally(() => process.exit())
})
tell({ ready: true })
