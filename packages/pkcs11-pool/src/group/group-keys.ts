import type { CryptoKeys, KeyInfo } from '../crypto-client.js'
import { GroupDivergedError, Pkcs11PoolError } from '../errors.js'
import type { Mechanism } from '../pkcs11/mechanisms.js'
import type { Template } from '../pkcs11/templates.js'
import type { OperationOptions } from '../session/call-context.js'
import { Capture, withCapture } from '../session/capture.js'
import { captureReference, describeReference, type Key, type KeyReference } from '../session/key-reference.js'
import type { GroupCore } from './group-core.js'
import type { Member } from './member.js'
import { coreOf } from './member-target.js'
import { owned } from './owned.js'
import type { Write, Writes } from './writes.js'

/**
 * The keys of a group. What only reads is asked of one member, and of the next where that fails. What changes keys goes to all members, or,
 * where one of them cannot be reached, to none; see {@link GroupDivergedError} for when it ends in between. Keys come without handles,
 * which are one token's alone: use `withSession`, which stays on one.
 */
export class GroupKeys implements CryptoKeys {
  readonly #core: GroupCore
  readonly #writes: Writes<Member>

  /** Use {@link createGroup}. */
  constructor(core: GroupCore, writes: Writes<Member>) {
    this.#core = core
    this.#writes = writes
  }

  /** All keys that match, as one member has them. */
  async find(filter: KeyReference = {}, options: OperationOptions = {}): Promise<KeyInfo[]> {
    const kept = { ...filter }
    const keys = await this.#core.run(options, ({ keys }, bounds) => keys.find(kept, bounds))
    return keys.map(withoutHandle)
  }

  /** The one key that a reference means. @throws KEY_NOT_FOUND where no member that can be asked has it, KEY_AMBIGUOUS */
  async get(reference: KeyReference, options: OperationOptions = {}): Promise<KeyInfo> {
    const captured = captureReference(reference)
    const key = await this.#core.run(options, ({ keys }, bounds) => keys.get(captured, bounds), { key: captured })
    return withoutHandle(key)
  }

  /**
   * Of a group of one: C_GenerateKey. Of more, nothing: each token would make another key.
   *
   * @throws GROUP_CANNOT_GENERATE
   */
  async generate(mechanism: Mechanism, template: Template, options: OperationOptions = {}): Promise<KeyInfo> {
    return withoutHandle(await this.#only().keys.generate(mechanism, template, options))
  }

  /**
   * Of a group of one: C_GenerateKeyPair. Of more, nothing: each token would make another pair.
   *
   * @throws GROUP_CANNOT_GENERATE
   */
  async generatePair(
    mechanism: Mechanism,
    publicTemplate: Template,
    privateTemplate: Template,
    options: OperationOptions = {},
  ): Promise<{ publicKey: KeyInfo; privateKey: KeyInfo }> {
    const pair = await this.#only().keys.generatePair(mechanism, publicTemplate, privateTemplate, options)
    return { publicKey: withoutHandle(pair.publicKey), privateKey: withoutHandle(pair.privateKey) }
  }

  /** C_CreateObject on all members. @throws GROUP_INCOMPLETE, GROUP_DIVERGED */
  async import(template: Template, options: OperationOptions = {}): Promise<KeyInfo> {
    const key = await this.#toAll(options, (capture) => {
      const kept = owned(capture, template)
      return { what: `import of ${newKey(kept)}`, on: (member, bounds) => coreOf(member).keys.import(kept, bounds) }
    })
    return withoutHandle(key)
  }

  /** C_SetAttributeValue on all members, which have to have the key. @throws GROUP_INCOMPLETE, GROUP_DIVERGED */
  update(reference: KeyReference, template: Template, options: OperationOptions = {}): Promise<void> {
    return this.#toAll(options, (capture) => {
      const kept = owned(capture, template)
      const captured = captureReference(reference)
      const what = `update of ${describeReference(captured)}`
      return {
        what,
        on: (member, bounds) => coreOf(member).keys.update(captured, kept, bounds),
        prepare: async (bounds) => {
          const { having, lacking } = await this.#whoHas(captured, bounds)
          if (lacking.length > 0) throw this.#notAlike(what, captured, having, lacking)
          return having
        },
      }
    })
  }

  /**
   * C_DestroyObject on all members that have the key: afterwards none has it.
   *
   * @throws KEY_NOT_FOUND where none has it, GROUP_INCOMPLETE, GROUP_DIVERGED
   */
  destroy(reference: KeyReference, options: OperationOptions = {}): Promise<void> {
    return this.#toAll(options, () => {
      const captured = captureReference(reference)
      return {
        what: `destruction of ${describeReference(captured)}`,
        on: (member, bounds) => coreOf(member).keys.destroy(captured, bounds),
        prepare: async (bounds) => (await this.#whoHas(captured, bounds)).having,
      }
    })
  }

  /** C_WrapKey on one member. */
  wrap(
    mechanism: Mechanism,
    wrappingKey: KeyReference,
    key: KeyReference,
    options: OperationOptions = {},
  ): Promise<Buffer> {
    return withCapture((capture) => {
      const kept = owned(capture, mechanism)
      const wrapping = captureReference(wrappingKey)
      const captured = captureReference(key)
      return this.#core.run(options, ({ keys }, bounds) => keys.wrap(kept, wrapping, captured, bounds))
    })
  }

  /** C_UnwrapKey on all members: the same key on each. @throws GROUP_INCOMPLETE, GROUP_DIVERGED */
  async unwrap(
    mechanism: Mechanism,
    unwrappingKey: KeyReference,
    wrapped: Uint8Array,
    template: Template,
    options: OperationOptions = {},
  ): Promise<KeyInfo> {
    const made = await this.#toAll(options, (capture) => {
      const kept = owned(capture, { mechanism, template })
      const bytes = capture.bytes(wrapped, 'wrapped')
      const key = captureReference(unwrappingKey)
      return {
        what: `unwrapping of ${newKey(kept.template)}`,
        on: (member, bounds) => coreOf(member).keys.unwrap(kept.mechanism, key, bytes, kept.template, bounds),
      }
    })
    return withoutHandle(made)
  }

  /** C_DeriveKey on all members: the same key on each. @throws GROUP_INCOMPLETE, GROUP_DIVERGED */
  async derive(
    mechanism: Mechanism,
    baseKey: KeyReference,
    template: Template,
    options: OperationOptions = {},
  ): Promise<KeyInfo> {
    const made = await this.#toAll(options, (capture) => {
      const kept = owned(capture, { mechanism, template })
      const key = captureReference(baseKey)
      return {
        what: `derivation of ${newKey(kept.template)}`,
        on: (member, bounds) => coreOf(member).keys.derive(kept.mechanism, key, kept.template, bounds),
      }
    })
    return withoutHandle(made)
  }

  /** Forgets the cached handles of the keys that a reference may mean, or of all, on every member. */
  forget(reference?: KeyReference): void {
    for (const { core } of this.#core.members) core?.keys.forget(reference)
  }

  /** What `plan` has captured is kept until nothing of the write is under way, which may be after its caller has gone. */
  async #toAll<R>(options: OperationOptions, plan: (capture: Capture) => Write<Member, R>): Promise<R> {
    this.#core.checkOpen()
    const capture = new Capture()
    let write: Write<Member, R>
    try {
      write = plan(capture)
    } catch (error) {
      capture.wipe()
      throw error
    }
    return this.#writes.toAll(write, options, () => capture.wipe())
  }

  #notAlike(
    what: string,
    key: KeyReference,
    having: readonly Member[],
    lacking: readonly Member[],
  ): GroupDivergedError {
    this.#core.missing(key, having, lacking)
    return new GroupDivergedError(
      `${what} was not sent: ${names(having)} has the key, and ${names(lacking)} has not. make the members alike first`,
      {
        outcomes: this.#core.members.map(({ name }) => ({
          member: name,
          outcome: 'not done' as const,
          error: undefined,
        })),
      },
    )
  }

  /** @throws KEY_NOT_FOUND where none has it, and what else keeps one from saying */
  async #whoHas(reference: KeyReference, options: OperationOptions): Promise<{ having: Member[]; lacking: Member[] }> {
    const having: Member[] = []
    const lacking: Member[] = []
    let notFound: unknown
    const looks = await Promise.allSettled(
      this.#core.members.map((member) => coreOf(member).keys.get(reference, options)),
    )
    for (const [at, member] of this.#core.members.entries()) {
      const look = looks[at]
      if (look?.status === 'fulfilled') having.push(member)
      else if (!isNotFound(look?.reason)) throw look?.reason
      else {
        notFound = look?.reason
        lacking.push(member)
      }
    }
    if (having.length === 0) throw notFound
    return { having, lacking }
  }

  /** The one member of a group of one. */
  #only(): ReturnType<typeof coreOf> {
    this.#core.checkOpen()
    const [only, ...others] = this.#core.members
    if (only !== undefined && others.length === 0) return coreOf(only)
    throw new Pkcs11PoolError(
      'GROUP_CANNOT_GENERATE',
      `a key generated on one of the ${others.length + 1} members of the group could not be made the same on the others; nothing was sent. ` +
        "import or unwrap it, which goes to all, or generate it on one and clone it with the vendor's tool",
    )
  }
}

function withoutHandle(key: Key): KeyInfo {
  const { class: keyClass, label, id, private: isPrivate, keyType, sizeBits, alwaysAuthenticate } = key
  return { class: keyClass, label, id, private: isPrivate, keyType, sizeBits, alwaysAuthenticate }
}

function isNotFound(error: unknown): boolean {
  return error instanceof Pkcs11PoolError && error.code === 'KEY_NOT_FOUND'
}

function names(members: readonly Member[]): string {
  return members.map(({ name }) => name).join(', ')
}

function newKey(template: Template): string {
  const label: unknown = template?.CKA_LABEL
  return typeof label === 'string' ? `key with label ${JSON.stringify(label)}` : 'a key'
}
