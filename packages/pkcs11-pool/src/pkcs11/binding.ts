import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { isMainThread } from 'node:worker_threads'
import type { NativeBinding } from './protocol.js'

function load(): NativeBinding {
  const require = createRequire(import.meta.url)
  const nodeGypBuild = require('node-gyp-build') as (directory: string) => NativeBinding
  const loaded = nodeGypBuild(fileURLToPath(new URL('../..', import.meta.url)))
  if (isMainThread) process.once('exit', () => loaded.processIsLeaving())
  return loaded
}

/** The addon, loaded once an environment. */
export const binding: NativeBinding = load()
