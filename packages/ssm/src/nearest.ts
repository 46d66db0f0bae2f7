/** The known name that a misspelt one most likely means, or undefined where none is near. Case and `-` or `_` do not count. */
function nearest(name: string, known: Iterable<string>): string | undefined {
  const got = normalise(name)
  let best: string | undefined
  let bestDistance = Math.max(2, Math.floor(got.length / 3)) + 1
  for (const candidate of known) {
    const distance = editDistance(got, normalise(candidate))
    if (distance < bestDistance) {
      best = candidate
      bestDistance = distance
    }
  }
  return best
}

/** `; did you mean x?` to append to a message, or nothing. */
export function didYouMean(name: string, known: Iterable<string>): string {
  const guess = nearest(name, known)
  return guess === undefined ? '' : `; did you mean ${guess}?`
}

function normalise(name: string): string {
  // a name this long is no misspelling, and the distance below is quadratic
  return name.slice(0, 64).toLowerCase().replaceAll(/[-_]/g, '')
}

function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let row = 1; row <= a.length; row++) {
    const current = [row]
    for (let column = 1; column <= b.length; column++) {
      const substitution = (previous[column - 1] ?? 0) + (a[row - 1] === b[column - 1] ? 0 : 1)
      current.push(Math.min(substitution, (previous[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1))
    }
    previous = current
  }
  return previous[b.length] ?? 0
}
