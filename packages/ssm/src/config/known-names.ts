import { didYouMean } from '../nearest.js'
import { ConfigError } from './config-error.js'
import { SETTINGS, type Setting, type SettingName } from './settings.js'

const ALL = Object.entries(SETTINGS) as [SettingName, Setting][]
const BY_VARIABLE = new Map<string, SettingName>(ALL.map(([name, { env }]) => [env, name]))
const BY_FLAG = new Map<string, SettingName>(
  ALL.flatMap(([name, { flag, alias }]) =>
    [flag, alias].flatMap((each) => (each === null || each === undefined ? [] : [[each, name] as const])),
  ),
)

/** @throws ConfigError for a variable that is no setting's, naming the nearest that is */
export function settingOfVariable(variable: string): SettingName {
  const known = [...BY_VARIABLE.keys()]
  return (
    BY_VARIABLE.get(variable) ??
    refuse(variable, `an unknown variable`, `one of ${known.join(', ')}${didYouMean(variable, known)}`)
  )
}

/**
 * @param flag without the leading `--`
 * @param more flags that the command has beside the settings
 * @throws ConfigError for a flag that is no setting's, naming the nearest that is; never with its value, which may be a PIN
 */
export function settingOfFlag(flag: string, more: readonly string[] = []): SettingName {
  if (flag === 'pin') {
    refuse('--pin', 'a PIN on the command line, where every user can read it', '--pin-file or SSM_PIN')
  }
  const known = [...BY_FLAG.keys(), ...more].map((each) => `--${each}`)
  return (
    BY_FLAG.get(flag) ??
    refuse(`--${flag}`, 'an unknown flag', `one of ${known.join(', ')}${didYouMean(`--${flag}`, known)}`)
  )
}

/** The setting that a variable or a flag with its `--` names. */
export function settingNamed(name: string): SettingName | undefined {
  return BY_VARIABLE.get(name) ?? (name.startsWith('--') ? BY_FLAG.get(name.slice(2)) : undefined)
}

function refuse(setting: string, got: string, expected: string): never {
  throw new ConfigError(setting, got, expected)
}
