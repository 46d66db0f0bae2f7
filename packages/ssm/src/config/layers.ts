import { ConfigError, MissingSetting, type Refuse, refuseAtOnce } from './config-error.js'
import { settingOfFlag, settingOfVariable } from './known-names.js'
import { SETTINGS, type SettingName } from './settings.js'

/** A setting's text and where it came from, to be named in an error. */
export interface Given {
  value: string
  source: string
}

/** Where in a file something stands. */
export interface FilePlace {
  file: string
  /** from 1 */
  line: number
  key: string
}

/** What one source gives: the command line, the environment, or a file. */
export type Layer = ReadonlyMap<SettingName, Given>

/**
 * The flags of a command line.
 *
 * @param flags without the leading `--`
 * @throws ConfigError on an unknown flag, and on two that mean the same
 */
export function layerOfFlags(flags: ReadonlyMap<string, string>): Layer {
  const layer = new Map<SettingName, Given>()
  for (const [flag, value] of flags) {
    const name = settingOfFlag(flag)
    const other = layer.get(name)
    if (other !== undefined) throw new ConfigError(`--${flag}`, `${other.source} as well`, 'only one of them')
    layer.set(name, { value, source: `--${flag}` })
  }
  return layer
}

/**
 * The variables that begin with `SSM_`. The value of SSM_PIN is not read: the library does that, natively.
 *
 * @param refuse hears of unknown variables
 */
export function layerOfEnvironment(
  env: Readonly<Record<string, string | undefined>>,
  refuse: Refuse = refuseAtOnce,
): Layer {
  const layer = new Map<SettingName, Given>()
  for (const variable of Object.keys(env)) {
    if (!variable.startsWith('SSM_')) continue
    const name = attempt(refuse, () => settingOfVariable(variable), undefined)
    if (name === undefined) continue
    const value = name === 'pin' ? 'is set' : env[variable]
    if (value !== undefined) layer.set(name, { value, source: variable })
  }
  return layer
}

/** What `read` gives; where it throws a ConfigError that `refuse` lets pass, `otherwise`. */
export function attempt<T>(refuse: Refuse, read: () => T, otherwise: T): T {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    refuse(error)
    return otherwise
  }
}

/**
 * Several sources, the one that counts most first: answers each setting from the first that has it. Where it says `@throws`, an error goes
 * to `refuse`, and where that lets it pass the setting counts as not given.
 */
export class Layers {
  readonly #layers: readonly Layer[]
  readonly #refuse: Refuse
  readonly #file: string | undefined

  /** @param file the file of settings that was given, to be named where one is missing */
  constructor(layers: readonly Layer[], refuse: Refuse = refuseAtOnce, file?: string) {
    this.#layers = layers
    this.#refuse = refuse
    this.#file = file
  }

  /** What `read` gives, or `otherwise` where it throws a ConfigError that may pass. */
  attempt<T>(read: () => T, otherwise: T): T {
    return attempt(this.#refuse, read, otherwise)
  }

  /** The error for a setting that is given nowhere. */
  missing(name: SettingName, expected: string): MissingSetting {
    const place = this.#file === undefined ? SETTINGS[name].env : `${this.#file} ${name}`
    return new MissingSetting(name, place, expected)
  }

  /** Where each setting comes from. */
  sources(): Map<SettingName, string> {
    return new Map(this.#layers.toReversed().flatMap((layer) => [...layer].map(([name, { source }]) => [name, source])))
  }

  /** The setting as text. @throws ConfigError on an empty one */
  text(name: SettingName): Given | undefined {
    const given = this.#layers.find((layer) => layer.has(name))?.get(name)
    if (given?.value !== '') return given
    this.#refuse(new ConfigError(given.source, 'nothing', 'a value; leave it out for the default'))
    return undefined
  }

  /** @throws ConfigError on anything but a decimal integer from `min` to `max` */
  integer(name: SettingName, min: number, max: number): number | undefined {
    const given = this.text(name)
    if (given === undefined) return undefined
    const number = /^\d+$/.test(given.value) ? Number(given.value) : Number.NaN
    if (number >= min && number <= max) return number
    this.#refuse(new ConfigError(given.source, JSON.stringify(given.value), `an integer from ${min} to ${max}`))
    return undefined
  }

  /** @throws ConfigError on anything but one of the keys of `values` */
  choice<T>(name: SettingName, values: Readonly<Record<string, T>>): T | undefined {
    const given = this.text(name)
    if (given === undefined) return undefined
    if (Object.hasOwn(values, given.value)) return values[given.value]
    this.#refuse(new ConfigError(given.source, JSON.stringify(given.value), Object.keys(values).join(' or ')))
    return undefined
  }

  /** A setting of several values. @throws ConfigError on an empty one */
  list(name: SettingName): { values: readonly string[]; source: string } | undefined {
    const given = this.text(name)
    if (given === undefined) return undefined
    return { values: given.value.split(',').map((each) => each.trim()), source: given.source }
  }

  /** A setting that is a map of texts. @throws ConfigError on what is none */
  map(name: SettingName): Readonly<Record<string, string>> | undefined {
    const given = this.text(name)
    if (given === undefined) return undefined
    const map = parseMap(given.value)
    if (map === undefined)
      this.#refuse(new ConfigError(given.source, 'what is no map of texts', 'a JSON object of texts, in a file a map'))
    return map
  }

  /**
   * Which of several settings that exclude each other was given. The first source that has one hides all of the group in the others.
   *
   * @throws ConfigError when two were given in one place
   */
  oneOf<N extends SettingName>(names: readonly N[]): N | undefined {
    for (const layer of this.#layers) {
      const given = names.filter((name) => layer.has(name))
      if (given.length > 1) {
        const sources = given.map((name) => layer.get(name)?.source ?? SETTINGS[name].env)
        this.#refuse(new ConfigError(sources[0] ?? '', `${sources.join(' and ')} together`, 'only one of them'))
      }
      if (given.length > 0) return given[0]
    }
    return undefined
  }
}

function parseMap(text: string): Record<string, string> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
    const entries = Object.entries(value) as [string, unknown][]
    if (!entries.every((entry): entry is [string, string] => typeof entry[1] === 'string')) return undefined
    // no prototype: a name that every object has is no name of ours
    return Object.assign(Object.create(null), Object.fromEntries(entries)) as Record<string, string>
  } catch {
    return undefined
  }
}
