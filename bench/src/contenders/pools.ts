import { createPool as createGenericPool } from 'generic-pool'
import { Pool as LightningPool } from 'lightning-pool'
import { createPool } from 'pkcs11-pool'
import { Pool as TarnPool } from 'tarn'
import { type LoadOptions, runLoad, type Window } from '../harness/load.js'
import type { Sample } from '../harness/result.js'
import { serve } from '../harness/serve.js'
import type { PoolName } from '../scenarios/pool.js'

const ACQUIRE_TIMEOUT_MS = 10_000
const MAX_SIZE = 10

interface Resource {
  held: boolean
}

let created = 0

async function create(): Promise<Resource> {
  created += 1
  return { held: false }
}

async function destroy(): Promise<void> {}

/** Acquire and release as each pool's own documents have them. */
interface Adapter<L> {
  acquire: () => Promise<L>
  release: (lease: L) => unknown
  resource: (lease: L) => Resource
}

type Round = Window & Pick<LoadOptions, 'callers'>

interface Program {
  check(callers: number): Promise<void>
  run(round: Round): Promise<Sample>
}

const programs: Record<PoolName, () => Program> = {
  'pkcs11-pool': () => {
    const pool = createPool({ create, destroy }, { maxSize: MAX_SIZE, acquireTimeoutMs: ACQUIRE_TIMEOUT_MS })
    return program({
      acquire: () => pool.acquire(),
      release: (lease) => lease.release(),
      resource: (lease) => lease.resource,
    })
  },
  'generic-pool': () => generic({ acquireTimeoutMillis: ACQUIRE_TIMEOUT_MS }),
  'generic-pool, no timeout': () => generic({}),
  tarn: () => {
    const pool = new TarnPool<Resource>({
      create,
      destroy,
      min: 0,
      max: MAX_SIZE,
      acquireTimeoutMillis: ACQUIRE_TIMEOUT_MS,
    })
    return program({
      acquire: () => pool.acquire().promise,
      release: (resource) => pool.release(resource),
      resource: itself,
    })
  },
  'lightning-pool': () => lightning(ACQUIRE_TIMEOUT_MS),
  'lightning-pool, no timeout': () => lightning(0),
}

function generic(timeout: { acquireTimeoutMillis?: number }): Program {
  const pool = createGenericPool<Resource>({ create, destroy }, { max: MAX_SIZE, ...timeout })
  return program({
    acquire: () => pool.acquire(),
    release: (resource) => pool.release(resource),
    resource: itself,
  })
}

function lightning(acquireTimeoutMillis: number): Program {
  const pool = new LightningPool<Resource>({ create, destroy }, { max: MAX_SIZE, acquireTimeoutMillis })
  return program({
    acquire: () => pool.acquire(),
    release: (resource) => pool.release(resource),
    resource: itself,
  })
}

function itself(resource: Resource): Resource {
  return resource
}

/** The same loop around each. A process runs one pool only, so that its calls stay monomorphic and are inlined. */
function program<L>({ acquire, release, resource }: Adapter<L>): Program {
  async function acquireAndRelease(_caller: number, repeat: number): Promise<void> {
    for (let i = 0; i < repeat; i++) release(await acquire())
  }

  async function holdInTurn(): Promise<void> {
    for (let i = 0; i < 100; i++) {
      const lease = await acquire()
      const held = resource(lease)
      if (held.held) throw new Error('two callers hold one resource')
      held.held = true
      await Promise.resolve()
      held.held = false
      release(lease)
    }
  }

  return {
    /** Throws unless every resource has one holder at a time and there are never more than the pool may have. */
    check: async (callers) => {
      await Promise.all(Array.from({ length: callers }, holdInTurn))
      if (created > MAX_SIZE) throw new Error(`the pool made ${created} resources, expected at most ${MAX_SIZE}`)
    },
    run: (round) => runLoad(acquireAndRelease, { ...round, timeEvery: 64 }),
  }
}

serve({ ...programs[process.argv[2] as PoolName]() })
