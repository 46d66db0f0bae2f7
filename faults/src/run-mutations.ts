import { fileURLToPath } from 'node:url'
import { MutatedTree } from './mutated-tree.js'
import { type Mutation, MUTATIONS } from './mutations.js'

/** Breaks the library in each way. @returns how many of them nobody noticed */
export function runMutations(report: (line: string) => void): number {
  const tree = new MutatedTree(fileURLToPath(new URL('../..', import.meta.url)))
  try {
    return MUTATIONS.filter((mutation) => !isNoticed(tree, mutation, report)).length
  } finally {
    tree.remove()
  }
}

function isNoticed(tree: MutatedTree, mutation: Mutation, report: (line: string) => void): boolean {
  const { cells, violations } = tree.run(mutation)
  const meant = violations.find(({ invariant }) => mutation.notices.includes(invariant))
  report(
    `${meant === undefined ? '✗ not noticed' : '✓ noticed'}: ${mutation.name} (${cells} cells, ${violations.length} violations)`,
  )
  const shown = meant ?? violations[0]
  if (shown !== undefined) report(`  ${shown.cell}: ${shown.invariant}: ${shown.detail.slice(0, 160)}`)
  return meant !== undefined
}
