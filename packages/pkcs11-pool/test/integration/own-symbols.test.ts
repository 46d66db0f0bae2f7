import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildModule } from 'testkit'
import { useSoftHsmToken } from 'testkit/vitest'
import { expect, test } from 'vitest'

const LIBRARY = new URL('../../dist/index.js', import.meta.url).href
const token = useSoftHsmToken()

/** Which files the dynamic linker has bound the module's references to OpenSSL to. */
function providers(env: Record<string, string>): string[] {
  const directory = mkdtempSync(join(tmpdir(), 'pkcs11-pool-bindings-'))
  try {
    const program = `import(${JSON.stringify(LIBRARY)}).then(({ inspectModule }) => inspectModule(${JSON.stringify(token.module)}))`
    execFileSync(process.execPath, ['-e', program], {
      env: { ...process.env, LD_DEBUG: 'bindings', LD_DEBUG_OUTPUT: join(directory, 'bindings'), ...env },
    })
    const lines = readdirSync(directory).flatMap((file) => readFileSync(join(directory, file), 'utf8').split('\n'))
    const bound = lines.flatMap((line) => /binding file \S*libsofthsm2\.so \S+ to (\S+) .*`EVP_/.exec(line)?.[1] ?? [])
    return [...new Set(bound)]
  } finally {
    rmSync(directory, { recursive: true })
  }
}

// A preloaded sanitizer has an allocator of its own.
test.skipIf(process.env.LD_PRELOAD)('SoftHSM uses the OpenSSL it was built for, not the one within Node', () => {
  expect(providers({})).toEqual([expect.stringContaining('libcrypto.so')])
})

test.skipIf(process.env.LD_PRELOAD)('beside another allocator it is loaded the ordinary way', () => {
  const allocator = buildModule(fileURLToPath(new URL('../support/other-allocator.c', import.meta.url)))
  expect(providers({ LD_PRELOAD: allocator })).toEqual([expect.not.stringContaining('libcrypto.so')])
})
