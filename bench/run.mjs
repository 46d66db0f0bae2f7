/// <reference types="node" />
// What `npm run bench` starts: the programs proper are TypeScript and have to be built first.
import { existsSync } from 'node:fs'

const main = new URL('./dist/main.js', import.meta.url)
if (existsSync(main)) await import(main.href)
else {
  process.stderr.write("the benchmarks are not built: run 'npm run build' first\n")
  process.exitCode = 2
}
