import { Problem } from '../problems/problem.js'

/** Remembers which methods each path answers, to tell a wrong method from a wrong path. */
export class KnownMethods {
  readonly #methods = new Map<string, Set<string>>()

  add(path: string, methods: string | readonly string[]): void {
    const known = this.#methods.get(path) ?? new Set()
    for (const method of [methods].flat()) known.add(method)
    this.#methods.set(path, known)
  }

  /** Why a request for a path was not routed. */
  problemFor(method: string, path: string): Problem {
    const known = this.#methods.get(path)
    if (known === undefined) return new Problem('NOT_FOUND', `nothing is at ${path.slice(0, 256)}`)
    const allowed = [...known].join(', ')
    return new Problem('METHOD_NOT_ALLOWED', `got ${method}, expected ${allowed}`, { headers: { allow: allowed } })
  }
}
