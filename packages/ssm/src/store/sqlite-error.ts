/** What went wrong in the driver, as a code and a message that can be told. */
export function describeSqliteError(error: unknown): { code: string; message: string } {
  const { message } = error as Error
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'STORE_BROKEN'
  // it is built for one version of Node, and not at all where packages are installed without their scripts
  if (code === 'ERR_DLOPEN_FAILED' || message.startsWith('Could not locate the bindings file')) {
    const next = 'run npm rebuild better-sqlite3 --build-from-source'
    return { code: 'DRIVER_MISSING', message: `better-sqlite3 is not built for Node ${process.version}: ${next}` }
  }
  return { code, message }
}
