import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: [
      'packages/*/test/**/*.test.ts',
      'bench/test/**/*.test.ts',
      'faults/test/**/*.test.ts',
      'test/**/*.test.ts',
    ],
    // a process a file: SoftHSM reads its configuration from the process's environment, and PKCS#11 knows one application a process
    pool: 'forks',
    isolate: true,
    // most tests wait for a token rather than compute; left to itself, vitest runs one file at a time on two processors
    maxWorkers: Math.max(2, availableParallelism() - 1),
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
})
