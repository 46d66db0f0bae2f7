import { type Client, createClient } from 'pkcs11-pool'
import type { SsmConfig } from '../config/config.js'
import { dataFolder } from '../data/data-folder.js'
import { useSoftHsmOf } from '../data/soft-hsm.js'

/** Opens the token for a command that does one thing and ends. The library's errors where it cannot be opened. */
export function openClientFor({ data, pkcsPath, token, pin }: SsmConfig): Promise<Client> {
  if (data !== undefined) useSoftHsmOf(dataFolder(data))
  return createClient({ module: pkcsPath, token, pin, pool: { minSize: 0, maxSize: 1 } })
}
