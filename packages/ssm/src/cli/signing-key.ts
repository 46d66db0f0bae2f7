import { cliChain, recordKeysOf } from '../audit/cli-chain.js'
import { rotateSigningKey } from '../auth/rotate-signing-key.js'
import { loadConfig } from '../config/config.js'
import { ConfigError } from '../config/config-error.js'
import { dataFolder } from '../data/data-folder.js'
import { openClientFor } from '../hsm/open-client.js'
import { openStore } from '../store/store.js'
import type { Command } from './arguments.js'
import { EXIT } from './exit-codes.js'

/** Makes a new key to sign tokens with. A service that runs uses it within 10 s. */
export async function rotate({ flags, own }: Command): Promise<number> {
  const config = loadConfig(process.env, flags)
  if (config.data === undefined) throw new ConfigError('--data', 'nothing', 'the data folder that ssm init made')
  const client = await openClientFor(config)
  try {
    const store = await openStore(config.database ?? dataFolder(config.data).store, 'refuse')
    try {
      const record = recordKeysOf(store, cliChain(config.instance))
      const { made, kept, removed } = await rotateSigningKey(client, store, { revoke: own.has('revoke'), record })
      process.stdout.write(
        `ssm: JWT_SIGNING_KEY ${made} signs from now on; still verifying: ${list(kept)}; removed: ${list(removed)}\n`,
      )
      return EXIT.OK
    } finally {
      await store.destroy()
    }
  } finally {
    await client.close()
  }
}

function list(ids: readonly number[]): string {
  return ids.length === 0 ? 'none' : ids.join(', ')
}
