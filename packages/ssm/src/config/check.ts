import { checkCertificates } from '../tls/certificate-files.js'
import { ConfigError, MissingSetting } from './config-error.js'
import { configOf } from './config.js'
import { settingNamed } from './known-names.js'
import { attempt, type FilePlace } from './layers.js'
import type { SettingName } from './settings.js'
import { readSources } from './sources.js'

/** What is wrong with one setting, or with one thing that is none. */
export interface ConfigFault {
  /** what the error is about, as the message names it */
  setting: string
  /** where it stands, for what stands in a file */
  place: FilePlace | undefined
  /** the key of the setting; undefined for a name that is no setting's */
  key: string | undefined
  got: string
  expected: string
  message: string
}

/** All that a check of the configuration found. */
export interface ConfigReport {
  file: string | undefined
  data: string | undefined
  faults: readonly ConfigFault[]
  /** settings without a default that are given nowhere, with what is expected: `ssm serve` needs them */
  missing: ReadonlyMap<SettingName, string>
  /** what has no effect */
  notices: readonly string[]
  /** where each setting that was given comes from; never its value, which may be a secret */
  sources: ReadonlyMap<SettingName, string>
}

/** Reads the configuration as `ssm serve` does, the files of TLS included, and goes on after each error. The token is not asked. */
export function checkConfig(
  env: Readonly<Record<string, string | undefined>>,
  flags: ReadonlyMap<string, string>,
): ConfigReport {
  const errors: ConfigError[] = []
  const notices: string[] = []
  const refuse = (error: ConfigError) => {
    // a setting that is read twice is wrong once
    if (!errors.some(({ message }) => message === error.message)) errors.push(error)
  }
  const sources = readSources(env, flags, (line) => notices.push(line), refuse)
  const config = attempt(refuse, () => configOf(sources, (line) => notices.push(line)), undefined)

  const given = sources.layers.sources()
  if (config?.tls !== undefined) checkCertificates(config.tls, (error) => refuse(withPlace(error, given)))
  const order = [...sources.places.keys()]
  const lacking = errors.filter((error) => error instanceof MissingSetting)
  const missing = new Map(lacking.map(({ key, expected }) => [key, expected]))
  if (sources.data === undefined) missing.set('data', 'the data folder that ssm init made')
  return {
    file: sources.file,
    data: sources.data,
    faults: errors
      .filter((error) => !(error instanceof MissingSetting))
      // as they stand in the files
      .toSorted((a, b) => order.indexOf(a.setting) - order.indexOf(b.setting))
      .map((error) => faultOf(error, sources.places)),
    // one that was given and is wrong is in the faults already
    missing: new Map([...missing].filter(([name]) => !given.has(name))),
    notices,
    sources: given,
  }
}

/** The error about a setting's value, named by where the setting was given. */
function withPlace(error: ConfigError, given: ReadonlyMap<SettingName, string>): ConfigError {
  const [, place = error.setting] = [...given].find(([name]) => name === error.setting) ?? []
  return new ConfigError(place, error.got, error.expected)
}

function faultOf(
  { setting, got, expected, message }: ConfigError,
  places: ReadonlyMap<string, FilePlace>,
): ConfigFault {
  const place = places.get(setting)
  const inFile = place === undefined || place.key === '' ? undefined : place.key
  return { setting, place, key: inFile ?? settingNamed(setting), got, expected, message }
}
