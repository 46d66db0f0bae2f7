// Adds to package-lock.json the optional platform packages (`@scope/binding-darwin-arm64` and the like) that its other entries
// name but the registry in use did not serve. npm leaves such packages out of the lock, and `npm ci` then refuses the lock it wrote
// itself. They are of other platforms, so nothing is ever fetched for them here. Run it after each `npm install` that changed a version.
import { readFileSync, writeFileSync } from 'node:fs'

const file = new URL('../package-lock.json', import.meta.url)
const lock = JSON.parse(readFileSync(file, 'utf8'))
const platform =
  /(android|darwin|freebsd|linux|netbsd|openbsd|openharmony|sunos|win32|wasm32)-([a-z0-9]+)(?:-(gnu|musl)[a-z]*)?(?:-\w+)?$/

const added = []
for (const [path, entry] of Object.entries(lock.packages)) {
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    const [, os, cpu, libc] = platform.exec(name) ?? []
    const known = `node_modules/${name}` in lock.packages || `${path}/node_modules/${name}` in lock.packages
    if (known || os === undefined) continue
    lock.packages[`node_modules/${name}`] = {
      version,
      cpu: [os === 'wasm32' ? os : cpu],
      ...(entry.dev === true && { dev: true }),
      ...(libc !== undefined && { libc: [libc === 'gnu' ? 'glibc' : libc] }),
      optional: true,
      ...(os !== 'wasm32' && { os: [os] }),
    }
    added.push(`${name}@${version}`)
  }
}

if (added.length > 0) {
  // the order in which npm writes them
  const packages = Object.entries(lock.packages).sort(([a], [b]) => a.localeCompare(b, 'en'))
  writeFileSync(file, `${JSON.stringify({ ...lock, packages: Object.fromEntries(packages) }, null, 2)}\n`)
}
console.log(added.length === 0 ? 'package-lock.json is complete' : `added ${added.join(', ')}`)
