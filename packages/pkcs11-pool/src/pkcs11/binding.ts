import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import type { NativeBinding } from './protocol.js'

function load(): NativeBinding {
  const require = createRequire(import.meta.url)
  const nodeGypBuild = require('node-gyp-build') as (directory: string) => NativeBinding
  return nodeGypBuild(fileURLToPath(new URL('../..', import.meta.url)))
}

/** The addon, loaded once an environment. */
export const binding: NativeBinding = load()
