import { checkConfig, type ConfigReport } from '../config/check.js'
import { ConfigError } from '../config/config-error.js'
import { exampleFile } from '../config/example.js'
import { SETTINGS } from '../config/settings.js'
import type { Command } from './arguments.js'
import { EXIT } from './exit-codes.js'

/** Says what is wrong with the configuration that `ssm serve` would read, all of it. */
export async function checkConfiguration({ flags, own }: Command): Promise<number> {
  const report = checkConfig(process.env, flags)
  if (report.sources.size === 0 && report.faults.length === 0) {
    throw new ConfigError(
      'ssm config check',
      'nothing to check',
      '--config FILE, --data DIR, or SSM_* in the environment',
    )
  }
  const isGood = report.faults.length === 0
  if (own.has('json')) {
    process.stdout.write(`${JSON.stringify(jsonOf(report), null, 2)}\n`)
  } else {
    for (const { message } of report.faults) process.stderr.write(`ssm: ${message}\n`)
    for (const notice of report.notices) process.stderr.write(`ssm: ${notice}\n`)
    for (const [name, expected] of report.missing) {
      const { env, flag } = SETTINGS[name]
      const ways = [env, ...(flag === null ? [] : [`--${flag}`])].join(' or ')
      process.stderr.write(`ssm: to serve, ${name} has to be given as well, here or by ${ways}: ${expected}\n`)
    }
    const what = report.file ?? report.data ?? 'the configuration'
    if (isGood) process.stdout.write(`ssm: ${what}: no errors\n`)
    else process.stderr.write(`ssm: ${what}: ${count(report.faults.length)}\n`)
  }
  return isGood ? EXIT.OK : EXIT.CONFIGURATION
}

/** Writes a file of settings with everything explained. */
export async function showExample({ flags }: Command): Promise<number> {
  process.stdout.write(exampleFile(flags))
  return EXIT.OK
}

function jsonOf({ file, data, faults, missing, notices, sources }: ConfigReport): object {
  return {
    ok: faults.length === 0,
    file: file ?? null,
    data: data ?? null,
    errors: faults.map(({ setting, place, key, got, expected, message }) => ({
      file: place?.file ?? null,
      line: place?.line ?? null,
      key: key ?? null,
      setting,
      got,
      expected,
      message,
    })),
    missing: [...missing.keys()],
    notices,
    sources: Object.fromEntries(sources),
  }
}

function count(errors: number): string {
  return errors === 1 ? '1 error' : `${errors} errors`
}
