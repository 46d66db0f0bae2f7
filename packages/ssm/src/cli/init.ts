import { resolve } from 'node:path'
import { readTokenAccess } from '../config/config.js'
import { ConfigError } from '../config/config-error.js'
import { readDatabase } from '../config/database.js'
import { readLayers } from '../config/sources.js'
import { initialise } from '../init/init.js'
import type { Command } from './arguments.js'
import { EXIT } from './exit-codes.js'

/** Makes a data folder, and shows the passwords of its accounts this once. */
export async function init({ flags, own }: Command): Promise<number> {
  const layers = readLayers(process.env, flags, (line) => void process.stderr.write(`ssm: ${line}\n`))
  const data = layers.text('data')
  if (data === undefined) throw new ConfigError('--data', 'nothing', 'the folder to make, such as --data /var/lib/ssm')
  const path = resolve(data.value)
  const names = ['pkcsPath', 'tokenLabel', 'tokenSerial', 'lotsNumber', 'pinFile', 'pin'] as const
  const token = names.some((name) => layers.text(name) !== undefined) ? readTokenAccess(layers) : undefined

  const accounts = await initialise(path, token, readDatabase(layers))
  if (own.has('json')) {
    const shown = accounts.map(({ serviceId, role, password }) => ({ service_id: serviceId, role, password }))
    process.stdout.write(`${JSON.stringify({ data: path, accounts: shown })}\n`)
    return EXIT.OK
  }
  if (accounts.length === 0) {
    process.stdout.write(
      `ssm: initialised ${path}; the database has accounts already, so none were made. Next: ssm serve --data ${path}\n`,
    )
    return EXIT.OK
  }
  const rows = accounts.map(
    ({ serviceId, role, password }) => `  ${serviceId.padEnd(12)}  ${role.padEnd(12)}  ${password}\n`,
  )
  process.stdout.write(
    `ssm: initialised ${path}\n\n  ${'service id'.padEnd(12)}  ${'role'.padEnd(12)}  password\n${rows.join('')}\n` +
      `The passwords are shown this once. Next: ssm serve --data ${path}\n`,
  )
  return EXIT.OK
}
