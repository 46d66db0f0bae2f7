import { expect, test } from 'vitest'
import type { Engine } from '../../src/pkcs11/engine.js'
import type { PackedTemplate } from '../../src/pkcs11/protocol.js'
import type { CallContext } from '../../src/session/call-context.js'
import type { Login } from '../../src/session/login.js'
import { findObjects } from '../../src/session/objects.js'
import { rejection } from '../support/rejection.js'

/** A token with so many objects that match. */
function tokenOf(objects: number): CallContext {
  const engine = {
    run: (...[, , , , most]: [unknown, unknown, unknown, unknown, number]) =>
      Promise.resolve(new Array(2 * Math.min(objects, most)).fill(0)),
  } as unknown as Engine
  const login = {
    duringLogin: (context: unknown, search: (context: unknown) => unknown) => search(context),
  } as unknown as Login
  return { engine, login } as unknown as CallContext
}

const ALL = new Uint8Array() as PackedTemplate

test('a search answers all that match, or says that they are too many, and never a part of them', async () => {
  expect(await findObjects(tokenOf(1_000_000), ALL)).toHaveLength(1_000_000)
  expect(await rejection(findObjects(tokenOf(1_000_001), ALL))).toMatchObject({
    code: 'TOO_MANY_OBJECTS',
    message: expect.stringContaining('more than 1000000 objects'),
  })
})
