import type { DestroyReason, PoolFactory } from '../../src/pool/index.js'
import type { FakeClock } from './fake-clock.js'

/** How a call to the factory ends; `manual`: when the test says so. */
export type Ending = 'ok' | 'error' | 'throw' | 'never' | 'manual' | { afterMs: number; ending: 'ok' | 'error' }

export interface FakeResource {
  readonly id: number
  readonly born: number
  endedBy: DestroyReason | undefined
  /** until its destroy has ended */
  alive: boolean
}

/** A call that the test ends itself. */
export interface ManualCall {
  readonly signal?: AbortSignal
  readonly resource?: FakeResource
  succeed(): void
  fail(error?: Error): void
}

/** A factory whose every step a test decides, and that watches that no resource is destroyed twice. */
export class FakeFactory implements PoolFactory<FakeResource> {
  create: (signal: AbortSignal) => Promise<FakeResource>
  validate?: (resource: FakeResource) => boolean | Promise<boolean>
  destroy: (resource: FakeResource, reason: DestroyReason) => void | Promise<void>

  exhausted = (cause: unknown): boolean => cause === this.noMore

  onCreate: () => Ending = () => 'ok'
  onValidate: (resource: FakeResource) => Ending | boolean = () => true
  /** `ok` is at once, without a promise */
  onDestroy: () => Ending = () => 'ok'

  readonly resources: FakeResource[] = []
  readonly signals: AbortSignal[] = []
  readonly creates: ManualCall[] = []
  readonly validates: ManualCall[] = []
  readonly destroys: ManualCall[] = []
  error = new Error('the other side is down')
  /** what a creation fails with that the other side has nothing left for */
  readonly noMore = new Error('there is no more')
  validations = 0
  /** calls that have not ended, apart from those that end at once */
  readonly open = { creates: 0, validates: 0, destroys: 0 }
  /** called before each creation starts */
  beforeCreate: () => void = () => {}

  readonly #clock: FakeClock

  constructor(clock: FakeClock, { validates = true } = {}) {
    this.#clock = clock
    this.create = (signal) => {
      this.beforeCreate()
      this.signals.push(signal)
      const make = () => {
        const resource = { id: this.resources.length + 1, born: clock.now(), endedBy: undefined, alive: true }
        this.resources.push(resource)
        return resource
      }
      return this.#run('creates', this.onCreate(), { signal }, make)
    }
    if (validates) {
      this.validate = (resource) => {
        this.validations += 1
        const ending = this.onValidate(resource)
        if (typeof ending === 'boolean') return ending
        return this.#run('validates', ending, { resource }, () => true)
      }
    }
    this.destroy = (resource, reason) => {
      if (resource.endedBy !== undefined) throw new Error(`resource ${resource.id} is destroyed a second time`)
      resource.endedBy = reason
      const end = () => {
        resource.alive = false
      }
      const ending = this.onDestroy()
      // The pool takes what could not be destroyed to be gone, so that is what it is here.
      if (ending === 'ok' || ending === 'throw') end()
      if (ending === 'ok') return
      return this.#run('destroys', ending, { resource }, end).catch((error: unknown) => {
        end()
        throw error
      })
    }
  }

  /** Resources that exist: created, and their destroy not over. */
  get live(): FakeResource[] {
    return this.resources.filter((resource) => resource.alive)
  }

  /** Why each resource ended, in the order of their creation. */
  get endings(): (DestroyReason | undefined)[] {
    return this.resources.map((resource) => resource.endedBy)
  }

  #run<R>(
    kind: 'creates' | 'validates' | 'destroys',
    ending: Ending,
    about: Pick<ManualCall, 'signal' | 'resource'>,
    makeResult: () => R,
  ): Promise<R> {
    if (ending === 'throw') throw this.error
    this.open[kind] += 1
    return new Promise((resolve, reject) => {
      let open = true
      const end = (settle: () => void) => {
        if (!open) return
        open = false
        this.open[kind] -= 1
        settle()
      }
      const succeed = () => end(() => resolve(makeResult()))
      const fail = (error = this.error) => end(() => reject(error))
      if (ending === 'ok') succeed()
      else if (ending === 'error') fail()
      else if (ending === 'manual') this[kind].push({ ...about, succeed, fail })
      else if (ending !== 'never') {
        this.#clock.setTimeout(() => (ending.ending === 'ok' ? succeed() : fail()), ending.afterMs)
      }
    })
  }
}
