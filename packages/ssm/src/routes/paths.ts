/** Where a route answers: below `/crypto`, and at the root, where it was before. */
export function underBothNames(name: string): readonly string[] {
  return [`/crypto/${name}`, `/${name}`]
}
