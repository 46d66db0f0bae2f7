import { Operation } from '../pkcs11/protocol.js'
import { toLength } from './arguments.js'
import type { CallContext } from './call-context.js'

/** C_GenerateRandom (PKCS#11 2.40 section 5.15): `length` bytes, up to 64 MiB. */
export function generateRandom(context: CallContext, length: number): Promise<Buffer> {
  const bytes = toLength(length, 'length')
  return context.engine.run(Operation.GENERATE_RANDOM, context.session, context, bytes) as Promise<Buffer>
}

/** C_SeedRandom: mixes `seed` into the token's generator; many tokens take none. */
export async function seedRandom(context: CallContext, seed: Uint8Array): Promise<void> {
  await context.engine.run(Operation.SEED_RANDOM, context.session, context, seed)
}
