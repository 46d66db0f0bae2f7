// Runs the native stress program (packages/pkcs11-pool/test/native/stress.cc) on a SoftHSM token made for it.
//
//   node scripts/stress-native.mjs PROGRAM ROUNDS
import { spawnSync } from 'node:child_process'
import { createSoftHsmToken } from '../packages/testkit/dist/index.js'

const [program, rounds] = process.argv.slice(2)
const token = createSoftHsmToken()
try {
  const { status, signal } = spawnSync(program, [token.module, token.label, token.pin, rounds], {
    stdio: 'inherit',
    env: { ...process.env, ...token.env },
  })
  if (status !== 0) {
    console.error(`${program} ended with ${signal ?? `status ${status}`}`)
    process.exitCode = 1
  }
} finally {
  token.remove()
}
