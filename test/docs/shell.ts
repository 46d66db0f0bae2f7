import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import type { Readable, Writable } from 'node:stream'

/** One bash that runs the blocks of a document one after another, as a reader would. */
export class Shell {
  readonly #bash: ChildProcessByStdio<Writable, Readable, null>
  readonly #ended: Promise<never>
  #output = ''

  constructor(cwd: string, env: Record<string, string | undefined>) {
    this.#bash = spawn('bash', ['--noprofile', '--norc'], {
      cwd,
      env,
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    this.#ended = once(this.#bash, 'close').then(() => {
      throw new Error(`the shell ended: ${this.#output}`)
    })
    // who waits for no more output does not look at it
    this.#ended.catch(() => undefined)
    this.#bash.stdout.setEncoding('utf8').on('data', (chunk: string) => (this.#output += chunk))
    // with errtrace, a command that fails anywhere in a block is known at its end; its input also ends with this process, however that ends
    this.#bash.stdin.write(
      "trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT\n" +
        'exec 2>&1; set -uE -o pipefail; trap \'failed="${failed:+$failed, }$BASH_COMMAND: $?"\' ERR\n',
    )
  }

  /** Runs commands. `failed` names those that failed; `status` is the last one's. */
  async run(code: string): Promise<{ output: string; status: number; failed: string }> {
    const mark = randomUUID()
    this.#output = ''
    this.#bash.stdin.write(`failed=\n${code}\n{ printf '\\n${mark} %s %s\\n' "$?" "$failed"; } 2>&1\n`)
    const end = new RegExp(`\\n${mark} (\\d+) (.*)\\n`)
    for (;;) {
      const match = end.exec(this.#output)
      if (match !== null) {
        return { output: this.#output.slice(0, match.index), status: Number(match[1]), failed: match[2] ?? '' }
      }
      await Promise.race([once(this.#bash.stdout, 'data'), this.#ended])
    }
  }

  /** Ends the shell and waits for what it started. */
  async close(): Promise<void> {
    const ended = once(this.#bash, 'close')
    this.#bash.stdin.end()
    await ended
  }
}
