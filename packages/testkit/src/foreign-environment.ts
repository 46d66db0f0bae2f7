/** Tells a sanitizer's runtime what to do; the runtime itself comes by LD_PRELOAD. */
const OF_SANITIZERS = new Set(['LD_PRELOAD', 'ASAN_OPTIONS', 'LSAN_OPTIONS', 'TSAN_OPTIONS', 'UBSAN_OPTIONS'])

/**
 * This process's environment for a program that loads nothing of ours. `scripts/test-sanitized` preloads the sanitizers' runtime for
 * the addon, and has every program that it finds at fault ended: servers of others are not to be judged, and some do not even start.
 */
export function foreignEnvironment(more: Record<string, string> = {}): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !OF_SANITIZERS.has(name))
  return { ...Object.fromEntries(kept), ...more }
}
