/**
 * The known name that a mistyped one was most likely meant to be: the one with the fewest single-letter changes, if those are
 * few for its length.
 */
export function nearestName(got: string, known: Iterable<string>): string | undefined {
  const wanted = got.toUpperCase()
  let best: string | undefined
  let bestDistance = Math.max(2, Math.floor(got.length / 4)) + 1
  for (const name of known) {
    if (Math.abs(name.length - got.length) >= bestDistance) continue
    const distance = editDistance(wanted, name.toUpperCase())
    if (distance < bestDistance) {
      best = name
      bestDistance = distance
    }
  }
  return best
}

/** `; did you mean X?`, or nothing where no known name is near. */
export function didYouMean(got: string, known: Iterable<string>): string {
  const nearest = nearestName(got, known)
  return nearest === undefined ? '' : `; did you mean ${nearest}?`
}

function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let row = 1; row <= a.length; row++) {
    const current = [row]
    for (let column = 1; column <= b.length; column++) {
      const replaced = previous[column - 1]! + (a[row - 1] === b[column - 1] ? 0 : 1)
      current.push(Math.min(replaced, previous[column]! + 1, current[column - 1]! + 1))
    }
    previous = current
  }
  return previous[b.length]!
}
