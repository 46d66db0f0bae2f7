import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createSoftHsm, createWrappedModule, type SoftHsmToken, type WrappedModule } from 'testkit'
import { afterAll, afterEach } from 'vitest'
import {
  type ClientGroup,
  createClient,
  createGroup,
  type GroupMemberOptions,
  type GroupOptions,
  type Template,
} from '../../src/index.js'

/** One token of a group, behind a module of its own that misbehaves on demand. */
export interface GroupToken {
  name: string
  token: SoftHsmToken
  module: WrappedModule
}

/** SoftHSM tokens of the test file's own, with the same keys. */
export interface TokenGroup {
  tokens: readonly GroupToken[]
  member(name: string, options?: Partial<GroupMemberOptions>): GroupMemberOptions
  /** A group of all of them, closed after the test. Keys are only compared when that is asked for, and no member is asked beside
   * another that is slow. */
  open(options?: Partial<GroupOptions>, members?: Partial<GroupMemberOptions>): Promise<ClientGroup>
  /** Puts a key on one token, past any group. */
  plant(name: string, template: Template): Promise<void>
}

/** After each test every rule is lifted and every group closed, whatever the test did. */
export function useTokenGroup(names: readonly string[]): TokenGroup {
  const directory = mkdtempSync(join(tmpdir(), 'token-group-'))
  const tokens = names.map((name, at): GroupToken => {
    const softHsm = createSoftHsm()
    const token = softHsm.createToken({ label: name })
    const variable = `SOFTHSM2_CON${at}`
    process.env[variable] = softHsm.env.SOFTHSM2_CONF
    const library = join(directory, `${name}.so`)
    writeFileSync(library, reading(variable, readFileSync(softHsm.module)))
    return { name, token, module: createWrappedModule({ module: library }) }
  })
  const groups: ClientGroup[] = []
  afterEach(async () => {
    for (const { module } of tokens) module.clear()
    await Promise.all(groups.splice(0).map((group) => group.close()))
  })
  afterAll(() => {
    for (const { module, token } of tokens) {
      module.remove()
      token.remove()
    }
    rmSync(directory, { recursive: true, force: true })
  })
  const member = (name: string, options: Partial<GroupMemberOptions> = {}): GroupMemberOptions => {
    const { token, module } = tokenOf(name)
    return { module: module.module, token: { label: token.label }, pin: { file: token.pinFile }, ...options }
  }
  const tokenOf = (name: string): GroupToken => {
    const found = tokens.find((each) => each.name === name)
    if (found === undefined) throw new Error(`there is no token ${name}`)
    return found
  }
  return {
    tokens,
    member,
    async open(options = {}, members = {}) {
      const group = await createGroup({
        members: names.map((name) => member(name, members)),
        consistencyIntervalMs: Number.POSITIVE_INFINITY,
        nextMemberAfterMs: 60_000,
        ...options,
      })
      groups.push(group)
      return group
    },
    async plant(name, template) {
      const client = await createClient(member(name))
      await client.keys.import(template)
      await client.close()
    },
  }
}

/**
 * A SoftHSM that takes its configuration from a variable of its own. A copy is another module to the process, and what happens to one token's
 * does not touch the others'. Their directories have to be apart as well: within one process SoftHSM's file locks exclude nobody.
 */
function reading(variable: string, library: Buffer): Buffer {
  const usual = 'SOFTHSM2_CONF'
  let at = library.indexOf(usual)
  if (at === -1 || variable.length !== usual.length) throw new Error(`${usual} cannot be replaced by ${variable}`)
  for (; at !== -1; at = library.indexOf(usual, at)) library.write(variable, at, 'latin1')
  return library
}

/** Resolves when a condition holds, looked at each time the loop comes round. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(setImmediate)
}
