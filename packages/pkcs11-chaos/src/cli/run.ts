import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { constants } from 'node:os'
import { type Chaos, createChaos } from '../chaos.js'
import type { RuleId } from '../rule-store.js'
import type { Options, RunCommand } from './arguments.js'
import { EXIT } from './exit-codes.js'
import { formatMisuse, formatStats } from './format.js'
import { parseRuleWords } from './rule-words.js'

/** Runs a program over the proxy and gives the exit status. Standard output is the program's alone. */
export async function run(asked: RunCommand, options: Options): Promise<number> {
  const rules = asked.rules.map((text) => parseRuleWords(text.split(/\s+/).filter(Boolean)))
  const chaos = createChaos({ module: asked.module, directory: options.control })
  const ids: RuleId[] = []
  try {
    for (const rule of rules) ids.push(await chaos.rules.add(rule))
    return await runOver(chaos, asked, options)
  } finally {
    // a directory that was named may have other rules, and other users
    if (options.control === undefined) await chaos.close()
    else for (const id of ids) await chaos.rules.remove(id)
  }
}

async function runOver(chaos: Chaos, asked: RunCommand, options: Options): Promise<number> {
  if (!asked.quiet && options.control === undefined) {
    process.stderr.write(`pkcs11-chaos: in another terminal: export PKCS11_CHAOS_CONTROL=${chaos.directory}\n`)
  }
  const [file = '', ...args] = asked.command.map((word) => word.replaceAll('{}', chaos.modulePath))
  const status = await runProgram(file, args, { ...process.env, ...chaos.env })
  const counters = await chaos.counters()
  const misuse = await chaos.misuse()
  if (!asked.quiet) {
    process.stderr.write(
      options.json ? `${JSON.stringify({ status, counters, misuse })}\n` : formatStats(counters) + formatMisuse(misuse),
    )
  }
  return status === EXIT.OK && asked.failOnMisuse && misuse.length > 0 ? EXIT.MISUSE : status
}

async function runProgram(file: string, args: string[], env: NodeJS.ProcessEnv): Promise<number> {
  const child = spawn(file, args, { stdio: 'inherit', env })
  // Ctrl-C goes to the program as well, which decides; ending is for after it
  const forward = (signal: NodeJS.Signals) => child.kill(signal)
  const ignore = () => {}
  process.on('SIGINT', ignore).on('SIGTERM', forward).on('SIGHUP', forward)
  try {
    const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null]
    return signal === null ? (code ?? EXIT.FAILURE) : 128 + constants.signals[signal]
  } catch (error) {
    process.stderr.write(
      `pkcs11-chaos: cannot start ${file}: ${error instanceof Error ? error.message : String(error)}\n`,
    )
    return EXIT.NOT_STARTED
  } finally {
    process.off('SIGINT', ignore).off('SIGTERM', forward).off('SIGHUP', forward)
  }
}
