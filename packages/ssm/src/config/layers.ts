import { ConfigError } from './config-error.js'
import { requireKnownFlag, requireKnownVariable } from './known-names.js'
import { SETTINGS, type SettingName } from './settings.js'

/** A setting's text and where it came from, to be named in an error. */
export interface Given {
  value: string
  source: string
}

/** Environment below, flags above: answers each setting from the topmost that has it. */
export class Layers {
  readonly #env: Readonly<Record<string, string | undefined>>
  readonly #flags: ReadonlyMap<string, string>

  /** @throws ConfigError on a name that is no setting's */
  constructor(env: Readonly<Record<string, string | undefined>>, flags: ReadonlyMap<string, string>) {
    this.#env = env
    this.#flags = flags
    for (const name of Object.keys(env)) if (name.startsWith('SSM_')) requireKnownVariable(name)
    for (const flag of flags.keys()) requireKnownFlag(flag)
  }

  /** The setting as text. @throws ConfigError on an empty one */
  text(name: SettingName): Given | undefined {
    const given = this.#flag(name) ?? this.#variable(name)
    if (given?.value === '') throw new ConfigError(given.source, 'nothing', 'a value; leave it out for the default')
    return given
  }

  /** @throws ConfigError on anything but a decimal integer from `min` to `max` */
  integer(name: SettingName, min: number, max: number): number | undefined {
    const given = this.text(name)
    if (given === undefined) return undefined
    const number = /^\d+$/.test(given.value) ? Number(given.value) : Number.NaN
    if (number >= min && number <= max) return number
    throw new ConfigError(given.source, JSON.stringify(given.value), `an integer from ${min} to ${max}`)
  }

  /** @throws ConfigError on anything but one of the keys of `values` */
  choice<T>(name: SettingName, values: Readonly<Record<string, T>>): T | undefined {
    const given = this.text(name)
    if (given === undefined) return undefined
    if (Object.hasOwn(values, given.value)) return values[given.value]
    throw new ConfigError(given.source, JSON.stringify(given.value), Object.keys(values).join(' or '))
  }

  /**
   * Which of several settings that exclude each other was given. Flags hide all of the group in the environment.
   *
   * @throws ConfigError when two were given in one place
   */
  oneOf<N extends SettingName>(names: readonly N[]): N | undefined {
    const byFlag = names.filter((name) => this.#flag(name) !== undefined)
    const given = byFlag.length > 0 ? byFlag : names.filter((name) => SETTINGS[name].env in this.#env)
    if (given.length > 1) {
      const sources = given.map((name) => (byFlag.length > 0 ? `--${SETTINGS[name].flag}` : SETTINGS[name].env))
      throw new ConfigError(sources[0] ?? '', `${sources.join(' and ')} together`, 'only one of them')
    }
    return given[0]
  }

  #flag(name: SettingName): Given | undefined {
    const { flag } = SETTINGS[name]
    const value = flag === null ? undefined : this.#flags.get(flag)
    return value === undefined ? undefined : { value, source: `--${flag}` }
  }

  #variable(name: SettingName): Given | undefined {
    const { env } = SETTINGS[name]
    const value = this.#env[env]
    return value === undefined ? undefined : { value, source: env }
  }
}
