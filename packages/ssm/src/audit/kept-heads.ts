import { mkdir, open, readdir, readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import type { Client } from 'pkcs11-pool'
import { type Anchor, readAnchors, writeAnchor } from './anchor.js'
import { readAuditKeys, readHead } from './signer.js'
import { type AuditReader, requireContinuation } from './verify-store.js'

/**
 * The newest head of each chain, kept twice out of reach of whoever can write the store: in files of the data folder with each signature, and on
 * the HSM now and then, for it may wear out. Neither is ever ahead of the store: it is written after the store has the head.
 */
export class KeptHeads {
  readonly #client: Client
  readonly #folder: string

  constructor(client: Client, folder: string) {
    this.#client = client
    this.#folder = folder
  }

  /** Of one chain or of all, what there is: the file's, the HSM's, or both. */
  async read(chain?: string): Promise<Anchor[]> {
    const files = (await this.#readFiles()).filter((each) => chain === undefined || each.chain === chain)
    return [...files, ...(await readAnchors(this.#client, chain))]
  }

  /**
   * Looks whether what the store holds of a chain goes on from its newest heads, wherever they are.
   *
   * @throws AuditBroken
   */
  async requireContinuation(store: AuditReader, chain: string): Promise<void> {
    await requireContinuation(store, await readAuditKeys(this.#client), chain, await this.read(chain))
  }

  /** A file is whole at any moment; what a power cut takes back is a newer head, and an older one is none the worse. */
  async keepInFile({ chain, head }: Anchor): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 })
    const path = join(this.#folder, fileOf(chain))
    const fresh = `${path}.new`
    const file = await open(fresh, 'w', 0o600)
    try {
      await file.writeFile(JSON.stringify(head))
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(fresh, path)
  }

  async keepOnToken(anchor: Anchor): Promise<void> {
    await writeAnchor(this.#client, anchor)
  }

  async #readFiles(): Promise<Anchor[]> {
    const names = await readdir(this.#folder).catch((error: NodeJS.ErrnoException) => {
      // a data folder of an older version, or one that has signed nothing yet
      if (error.code === 'ENOENT') return []
      throw error
    })
    const files = names.filter((name) => name.endsWith(SUFFIX))
    return Promise.all(
      files.map(async (name) => ({
        chain: chainOf(name),
        head: readHead(await readFile(join(this.#folder, name), 'utf8')),
      })),
    )
  }
}

const SUFFIX = '.json'
/** Stands for the slash in the name of the commands' chain. */
const SLASH = '%2F'

function fileOf(chain: string): string {
  return `${chain.replace('/', SLASH)}${SUFFIX}`
}

function chainOf(file: string): string {
  return file.slice(0, -SUFFIX.length).replace(SLASH, '/')
}
