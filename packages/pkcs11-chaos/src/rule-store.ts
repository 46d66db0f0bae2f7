import { existsSync, linkSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ChaosError } from './errors.js'

/** The id of a rule: a number with leading zeros, so that rules sort in the order in which they were added. */
export type RuleId = string

export interface StoredRule {
  id: RuleId
  text: string
}

/**
 * The rules of a control directory, one file each, which processes read at their start and whenever they are told to. Several
 * controllers may write them at once.
 */
export class RuleStore {
  readonly #directory: string
  /** The highest number given here: a process may still know the rule that had it. */
  #last = 0

  constructor(control: string) {
    this.#directory = join(control, 'rules')
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 })
  }

  add(text: string): RuleId {
    const partial = join(this.#directory, `${process.pid}-${process.hrtime.bigint()}.partial`)
    writeFileSync(partial, `${text}\n`, { mode: 0o600 })
    try {
      this.#last = Math.max(this.#last, Number(this.#ids().at(-1) ?? 0))
      for (;;) {
        this.#last += 1
        const id = String(this.#last).padStart(6, '0')
        // unlike a rename, a link does not replace what another controller has just put there
        if (linked(partial, this.#file(id))) return id
      }
    } finally {
      rmSync(partial)
    }
  }

  /** @throws UNKNOWN_RULE */
  remove(id: RuleId): void {
    if (!/^\d+$/.test(id) || !existsSync(this.#file(id))) {
      const known = this.#ids()
      throw new ChaosError(
        'UNKNOWN_RULE',
        `got rule id '${id}', expected ${known.length === 0 ? 'none: there are no rules' : `one of ${known.join(', ')}`}`,
      )
    }
    this.discard(id)
  }

  /** Like `remove`, whether or not another controller has done so already. */
  discard(id: RuleId): void {
    rmSync(this.#file(id), { force: true })
  }

  list(): StoredRule[] {
    return this.#ids().map((id) => ({ id, text: readFileSync(this.#file(id), 'utf8').trim() }))
  }

  #ids(): RuleId[] {
    return readdirSync(this.#directory)
      .flatMap((name) => (/^\d+\.rule$/.test(name) ? [name.slice(0, -'.rule'.length)] : []))
      .sort()
  }

  #file(id: RuleId): string {
    return join(this.#directory, `${id}.rule`)
  }
}

function linked(from: string, to: string): boolean {
  try {
    linkSync(from, to)
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false
    throw error
  }
}
