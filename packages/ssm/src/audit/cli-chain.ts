import { userInfo } from 'node:os'
import type { Client } from 'pkcs11-pool'
import type { RecordChange } from '../accounts/accounts.js'
import type { RecordKeyChange } from '../auth/rotate-signing-key.js'
import type { Store } from '../store/store.js'
import { StoreError } from '../store/store-error.js'
import { AuditStore, type StoredEntry } from './audit-store.js'
import { link } from './chain.js'
import { type AuditEvent, entryText, serviceEvent } from './entry.js'
import type { KeptHeads } from './kept-heads.js'
import { AuditSigner } from './signer.js'

/** How often, in milliseconds, a service looks for what the command line wrote. */
const SIGN_EVERY_MS = 10_000
/** Two commands at the same moment want the same place in PostgreSQL: one of them is told so, and takes the next. */
const TAKEN = '23505'
const MOST_TRIES = 20

/** The chain that the commands on a data folder write, beside its service, which writes its own. No instance can have this name. */
export function cliChain(instance: string): string {
  return `${instance}/cli`
}

/** Appends an entry within a transaction. */
export async function appendToCliChain(store: Store, chain: string, event: AuditEvent): Promise<void> {
  const audit = new AuditStore(store)
  const { seq, hash } = await audit.lastEntry(chain)
  const entry = entryText(chain, seq + 1, event)
  await audit.append(chain, [{ seq: seq + 1, entry, hash: link(hash, entry) }])
}

/** Writes down that whoever runs this process changed an account. */
export function recordOf(chain: string): RecordChange {
  const account = accountOfUser()
  return (store, { action, serviceId }) =>
    appendToCliChain(store, chain, { ...serviceEvent(action, new Date()), account, subject: serviceId })
}

/** Writes down that whoever runs this process made or removed a key that signs tokens. */
export function recordKeysOf(store: Store, chain: string): RecordKeyChange {
  const account = accountOfUser()
  return ({ action, keyLabel, keyId }) =>
    untilPlaced(() =>
      store.transaction().execute((transaction) => {
        const event = { ...serviceEvent(action, new Date()), account, keyLabel, keyId }
        return appendToCliChain(transaction, chain, event)
      }),
    )
}

/** Makes a change again whose place in the chain another command took. */
export async function untilPlaced<T>(change: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await change()
    } catch (error) {
      if (!(error instanceof StoreError) || error.code !== TAKEN || tries === MOST_TRIES) throw error
    }
  }
}

function accountOfUser(): string {
  try {
    return `cli:${userInfo().username}`
  } catch {
    // a container's user may have no name
    return `cli:${process.getuid?.() ?? 'unknown'}`
  }
}

/** What {@link CliChain} needs. */
export interface CliChainOptions {
  store: AuditStore
  client: Client
  /** where the newest head is kept beside the store */
  kept: KeptHeads
  chain: string
  /** is given each entry that is signed for the first time. @defaultValue nobody is */
  forward?: ((entries: readonly StoredEntry[]) => void) | undefined
  /** hears of each failure to read or to sign */
  onFailure: (error: unknown) => void
}

/** Has the HSM sign what the command line wrote, which works without the HSM: an account can be disabled while that is away. */
export class CliChain {
  readonly #options: CliChainOptions
  readonly #signer: AuditSigner
  #timer: NodeJS.Timeout | undefined
  #signing: Promise<void> | undefined

  constructor(options: CliChainOptions) {
    this.#options = options
    this.#signer = new AuditSigner(options.client)
  }

  /** @throws AuditBroken where the chain was cut off or changed since its newest head was signed */
  async requireContinuation(): Promise<void> {
    const { store, chain, kept } = this.#options
    await kept.requireContinuation(store, chain)
  }

  /** Signs from now on, within seconds after each entry. */
  start(): void {
    this.#timer = setInterval(() => void this.sign(), SIGN_EVERY_MS).unref()
  }

  /** Has the HSM sign where the chain has come to, if that is not signed yet. Never rejects. */
  sign(): Promise<void> {
    this.#signing ??= this.#sign().finally(() => {
      this.#signing = undefined
    })
    return this.#signing
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    await this.sign()
  }

  async #sign(): Promise<void> {
    const { store, chain, kept, forward, onFailure } = this.#options
    try {
      const [{ seq, hash }, signedSeq] = [await store.lastEntry(chain), await store.lastHead(chain)]
      if (seq === signedSeq) return
      // each time: commands do not look at what they append to
      await this.requireContinuation()
      const head = await this.#signer.sign({ chain, seq, hash, time: new Date().toISOString() })
      await store.addHead(chain, { seq, ...head })
      await kept.keepInFile({ chain, head })
      await kept.keepOnToken({ chain, head })
      if (forward === undefined) return
      const fresh: StoredEntry[] = []
      for await (const entry of store.entries(chain, signedSeq)) if (entry.seq <= seq) fresh.push(entry)
      forward(fresh)
    } catch (error) {
      onFailure(error)
    }
  }
}
