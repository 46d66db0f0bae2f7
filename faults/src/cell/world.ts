import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Chaos, createChaos } from 'pkcs11-chaos'
import { type Client, type ClientOptions, createClient, type OperationOptions } from 'pkcs11-pool'
import { createSoftHsm, type SoftHsmToken } from 'testkit'
import { importKeys, type KnownKeys, LEFTOVER_ID } from '../load/keys.js'
import type { Subject } from '../load/operation.js'
import { OPTIONS } from '../settings.js'

/** Files in memory: a disk would hold up the token, and the event loop, on which the control of the fault proxy writes its rules. */
const SHARED_MEMORY = '/dev/shm'

/** What the cells of one process share: a token with known keys, behind the fault proxy. */
export class World {
  readonly #directory: string

  private constructor(
    readonly token: SoftHsmToken,
    readonly chaos: Chaos,
    readonly keys: KnownKeys,
    directory: string,
  ) {
    this.#directory = directory
  }

  /** `loaded`: whether the module may be loaded before the first cell. */
  static async create({ loaded }: { loaded: boolean }): Promise<World> {
    const directory = mkdtempSync(join(existsSync(SHARED_MEMORY) ? SHARED_MEMORY : tmpdir(), 'faults-'))
    const token = createSoftHsm({ directory: join(directory, 'token') }).createToken()
    Object.assign(process.env, token.env)
    const chaos = createChaos({ module: token.module, directory: join(directory, 'chaos') })
    // The keys are put there past the proxy where the cell wants to see it loaded.
    const module = loaded ? chaos.modulePath : token.module
    const client = await createClient({ module, token: { label: token.label }, pin: { value: token.pin } })
    const keys = await importKeys(client)
    await client.close()
    return new World(token, chaos, keys, directory)
  }

  open(options: Partial<ClientOptions> = {}): Promise<Client> {
    const { chaos, token } = this
    const pin = { file: token.pinFile }
    return createClient({ module: chaos.modulePath, token: { label: token.label }, pin, ...OPTIONS, ...options })
  }

  /** What the load works on. */
  subject(client: Client, options: OperationOptions = {}): Subject {
    return { client, keys: this.keys, module: this.chaos.modulePath, options }
  }

  /** Destroys what cells have left on the token. */
  async tidy(client: Client): Promise<void> {
    const left = await client.keys.find({ id: LEFTOVER_ID })
    if (left.length === 0) return
    await client.withSession(async (session) => {
      for (const key of left) await session.destroyObject(key)
    })
  }

  async remove(): Promise<void> {
    await this.chaos.close()
    this.token.remove()
    rmSync(this.#directory, { recursive: true, force: true })
  }
}
