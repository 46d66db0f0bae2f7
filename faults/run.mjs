/// <reference types="node" />
// What `npm run faults` starts: the programs proper are TypeScript and have to be built first.
import { existsSync } from 'node:fs'

const main = new URL('./dist/main.js', import.meta.url)
if (existsSync(main)) await import(main.href)
else {
  process.stderr.write("the product is not built: run 'npm run build' first\n")
  process.exitCode = 2
}
