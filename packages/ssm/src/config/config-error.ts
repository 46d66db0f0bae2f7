import type { SettingName } from './settings.js'

/** The service was told something it cannot work with. Restarting will not help; correcting the setting will. */
export class ConfigError extends Error {
  /** The setting or argument at fault, as it was given: `SSM_BIND_ADDR`, `--bind-addr`, `/etc/ssm.yaml:3 bindAddr`. */
  readonly setting: string
  readonly got: string
  readonly expected: string

  constructor(setting: string, got: string, expected: string) {
    super(`${setting}: got ${got}, expected ${expected}`)
    this.name = 'ConfigError'
    this.setting = setting
    this.got = got
    this.expected = expected
  }
}

/** A setting that has no default was given nowhere. */
export class MissingSetting extends ConfigError {
  readonly key: SettingName

  /** @param place where it was looked for, as an error names it */
  constructor(key: SettingName, place: string, expected: string) {
    super(place, 'nothing', expected)
    this.name = 'MissingSetting'
    this.key = key
  }
}

/** Hears of an error. One that throws ends the reading; one that does not lets it go on, to find what else is wrong. */
export type Refuse = (error: ConfigError) => void

/** Ends the reading with the first error. */
export const refuseAtOnce: Refuse = (error) => {
  throw error
}
