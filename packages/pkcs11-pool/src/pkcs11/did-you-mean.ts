import { nearest } from '../internal/nearest.js'

/** Longer than any name of the standard: what is longer is garbage, and comparing it would only cost time. */
const LONGEST_NAME = 64

/** `; did you mean X?`, or nothing where no known name is near. */
export function didYouMean(got: string, known: readonly string[]): string {
  const name = got.length <= LONGEST_NAME ? nearest(got, known) : undefined
  return name === undefined ? '' : `; did you mean ${name}?`
}

/** The same, or else every name there is: for lists short enough to be read. */
export function meantOrExpected(got: string, known: readonly string[]): string {
  return didYouMean(got, known) || `; expected one of ${known.join(', ')}`
}

/** A name as it was given, cut where it is longer than any name can be. */
export function quoted(got: string): string {
  return JSON.stringify(got.length <= LONGEST_NAME ? got : `${got.slice(0, LONGEST_NAME)}…`)
}
