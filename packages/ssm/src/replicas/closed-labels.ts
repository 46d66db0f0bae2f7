import { Problem } from '../problems/problem.js'

interface Closed {
  owners: Set<string>
  /** resolves when it may be open again */
  opened: Promise<void>
  open: () => void
}

/** The labels under which another replica is destroying a key: uses of their keys wait. */
export class ClosedLabels {
  readonly #waitMs: number
  readonly #labels = new Map<string, Closed>()

  constructor(waitMs: number) {
    this.#waitMs = waitMs
  }

  /** Undefined where the label is open; else resolves when it is opened. @throws Problem DATABASE_UNAVAILABLE */
  opening(label: string): Promise<void> | undefined {
    return this.#labels.get(label)?.opened
  }

  close(label: string, owner: string): void {
    const closed = this.#labels.get(label)
    if (closed !== undefined) {
      closed.owners.add(owner)
      return
    }
    let open = () => {}
    const opened = new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(tooLong(label)), this.#waitMs)
      open = () => {
        clearTimeout(timer)
        resolve()
      }
    })
    // there may be nobody who waits
    opened.catch(() => {})
    this.#labels.set(label, { owners: new Set([owner]), opened, open })
  }

  open(label: string, owner: string): void {
    const closed = this.#labels.get(label)
    if (closed?.owners.delete(owner) !== true || closed.owners.size > 0) return
    this.#labels.delete(label)
    closed.open()
  }

  openAllOf(owner: string): void {
    for (const label of this.#labels.keys()) this.open(label, owner)
  }

  openAll(): void {
    const all = [...this.#labels.values()]
    this.#labels.clear()
    for (const { open } of all) open()
  }

  owners(): Set<string> {
    return new Set([...this.#labels.values()].flatMap(({ owners }) => [...owners]))
  }
}

function tooLong(label: string): Problem {
  return new Problem(
    'DATABASE_UNAVAILABLE',
    `another replica has been changing the keys under key_label ${JSON.stringify(label)} for too long; try again later`,
    { headers: { 'retry-after': '1' } },
  )
}
