import { existsSync, readFileSync } from 'node:fs'
import { type ChaosControl, controlChaos } from '../control.js'
import { ChaosError } from '../errors.js'
import { chaosModule } from '../module-file.js'
import { type Command, type Options, parseCommand } from './arguments.js'
import { EXIT, UsageError } from './exit-codes.js'
import { formatMisuse, formatRules, formatStats } from './format.js'
import { HELP } from './help.js'
import { parseRuleWords } from './rule-words.js'
import { run } from './run.js'

/** Runs the command and gives its exit status. What is asked for goes to standard output, errors to standard error. */
export async function main(args: readonly string[]): Promise<number> {
  try {
    const { command, options } = parseCommand(args)
    if (command.name === 'run') return await run(command, options)
    process.stdout.write(await answer(command, options))
    return EXIT.OK
  } catch (error) {
    if (!(error instanceof UsageError || error instanceof ChaosError)) throw error
    process.stderr.write(`pkcs11-chaos: ${error.message}\n`)
    if (error instanceof UsageError) process.stderr.write("pkcs11-chaos: see 'pkcs11-chaos --help'\n")
    return isUsage(error) ? EXIT.USAGE : EXIT.FAILURE
  }
}

function isUsage(error: UsageError | ChaosError): boolean {
  return error instanceof UsageError || ['INVALID_OPTION', 'INVALID_RULE', 'UNKNOWN_RULE'].includes(error.code)
}

async function answer(command: Exclude<Command, { name: 'run' }>, options: Options): Promise<string> {
  const say = (value: unknown, text: string) => (options.json ? `${JSON.stringify(value)}\n` : text)
  const control = () => openControl(options)
  switch (command.name) {
    case 'help':
      return HELP
    case 'version':
      return `${packageVersion()}\n`
    case 'path':
      return say({ path: chaosModule() }, `${chaosModule()}\n`)
    case 'rule add': {
      const id = await control().rules.add(parseRuleWords(command.words))
      return say({ id }, `${id}\n`)
    }
    case 'rule list': {
      const rules = control().rules.list()
      return say(rules, formatRules(rules))
    }
    case 'stats': {
      const counters = await control().counters()
      return say(counters, formatStats(counters))
    }
    case 'misuse': {
      const misuse = await control().misuse()
      return say(misuse, formatMisuse(misuse))
    }
    case 'rule remove':
      return silent(control().rules.remove(command.id))
    case 'rule clear':
      return silent(control().rules.clear())
    case 'release':
      return silent(control().release(command.id))
    case 'act':
      // each is a method of the same name; the one that has no slot takes none
      return silent(control()[command.action]({ slot: command.slot }))
    case 'reset':
      return silent(control().resetCounters())
  }
}

async function silent(done: Promise<void>): Promise<string> {
  await done
  return ''
}

function openControl({ control }: Options): ChaosControl {
  const directory = control ?? process.env.PKCS11_CHAOS_CONTROL
  if (directory === undefined || directory === '') {
    throw new UsageError('got no control directory, expected --control DIR or PKCS11_CHAOS_CONTROL')
  }
  if (!existsSync(directory)) {
    throw new UsageError(
      `got control directory ${directory}, which does not exist: make it with mkdir -m 700 ${directory}`,
    )
  }
  return controlChaos(directory)
}

function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  // this package's own file, which npm does not publish without a version
  return (JSON.parse(text) as { version: string }).version
}
