import type { ClientStats } from 'pkcs11-pool'
import type { Witness } from './witness.js'

/** What holds of a client's figures at every moment. */
export function checkFigures(stats: ClientStats, witness: Witness): void {
  const { currentSize, available, inUse, created, destroyed, acquired, released, validating, maxSize, engine } = stats
  const sums: [what: string, left: number, right: number][] = [
    ['currentSize = available + inUse', currentSize, available + inUse],
    ['created - destroyed = currentSize', created - destroyed, currentSize],
    ['acquired - released + validating = inUse', acquired - released + validating, inUse],
  ]
  for (const [what, left, right] of sums) {
    if (left !== right) witness.violated('stats', `${what}: ${left} is not ${right}`)
  }
  if (currentSize > maxSize) witness.violated('stats', `currentSize ${currentSize} is more than maxSize ${maxSize}`)
  for (const [name, value] of Object.entries({ ...stats, ...engine })) {
    if (typeof value === 'number' && value < 0) witness.violated('stats', `${name} is ${value}`)
  }
}
