import type { Cell } from '../cells.js'
import type { CellResult } from '../cell/run-cell.js'

/** What a worker process is told. */
export interface Order {
  cell: Cell
}

/** What it tells. */
export type Report = { ready: true } | { result: CellResult }
