/** The service was told something it cannot work with. Restarting will not help; correcting the setting will. */
export class ConfigError extends Error {
  /** The setting or argument at fault, as it was given: `SSM_BIND_ADDR`, `--bind-addr`. */
  readonly setting: string

  constructor(setting: string, got: string, expected: string) {
    super(`${setting}: got ${got}, expected ${expected}`)
    this.name = 'ConfigError'
    this.setting = setting
  }
}
