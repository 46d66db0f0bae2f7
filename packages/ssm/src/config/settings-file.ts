import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml'
import { didYouMean } from '../nearest.js'
import { hasPassword } from '../store/database-url.js'
import { ConfigError, type Refuse } from './config-error.js'
import { refuseOpenFile } from './files.js'
import { attempt, type FilePlace, type Given, type Layer } from './layers.js'
import { SETTINGS, type Setting, type SettingName } from './settings.js'

const CORS_IS_FIXED = 'what pages of cors.allowOrigins may do is decided here'

/** Keys of the Go service's file that mean nothing here, with what to tell about it; null where there is nothing to tell. */
const OTHERS_KEYS: Readonly<Record<string, string | null>> = {
  ssmName: null,
  ssmId: null,
  info: null,
  logger: null,
  isSecure: null,
  socketPath: 'the service listens on bindAddr only, which may be unix: and a path',
  'rateLimit.cleanupInterval': null,
  'cors.allowMethods': CORS_IS_FIXED,
  'cors.allowHeaders': CORS_IS_FIXED,
  'cors.exposeHeaders': CORS_IS_FIXED,
  'cors.allowCredentials': CORS_IS_FIXED,
  'cors.allowPrivateNetwork': CORS_IS_FIXED,
  'cors.allowWildcard': CORS_IS_FIXED,
  'cors.allowBrowserExtensions': CORS_IS_FIXED,
  'cors.allowWebSockets': CORS_IS_FIXED,
  'cors.allowFiles': CORS_IS_FIXED,
  'cors.customSchemas': CORS_IS_FIXED,
  'cors.maxAge': CORS_IS_FIXED,
  'cors.optionsResponseStatusCode': CORS_IS_FIXED,
  mongodb: 'accounts and audit live in the data folder here, in SQLite, or in PostgreSQL: set database',
}

/** Keys that hold settings of their own, named `section.key`. */
const SECTIONS: ReadonlySet<string> = new Set(
  Object.keys(SETTINGS).flatMap((name) => (name.includes('.') ? [name.slice(0, name.indexOf('.'))] : [])),
)

/** Who hears what of a file of settings. */
export interface SettingsFileListeners {
  /** what of the file has no effect */
  notice: (line: string) => void
  /** what is wrong in it */
  refuse: Refuse
  /** takes what stands where, by how an error names it */
  places: Map<string, FilePlace>
}

/**
 * Reads a YAML file of settings: one map, its keys as in {@link SETTINGS}. The Go service's file is read as it is, under its
 * `configuration` or without.
 *
 * @throws ConfigError naming file, line and key, unless `refuse` lets it pass
 */
export function readSettingsFile(
  path: string,
  setting: string,
  { notice, refuse, places }: SettingsFileListeners,
): Layer {
  const lines = new LineCounter()
  // every value as text: the settings know what they are, and a PIN keeps its leading zeros
  const document = parseDocument(readText(path, setting), { schema: 'failsafe', lineCounter: lines })
  const [broken] = document.errors
  if (broken !== undefined) {
    // the parser's own message quotes the line, which may hold a PIN
    throw new ConfigError(
      atLine(broken.linePos?.[0].line ?? 1),
      broken.code === 'DUPLICATE_KEY' ? 'a key a second time' : 'what is no YAML',
      `a map of settings (${broken.code})`,
    )
  }
  const layer = new Map<SettingName, Given>()
  attempt(refuse, () => readMap(document.contents), undefined)
  const database = layer.get('database')
  const secret = layer.get('pin') ?? (hasPassword(database?.value ?? '') ? database : undefined)
  if (secret !== undefined) attempt(refuse, () => refuseOpenFile(path, secret.source), undefined)
  return layer

  function readMap(map: Node | null): void {
    if (map === null) return
    if (!isMap(map)) throw new ConfigError(at(map), 'no map', 'settings, such as bindAddr: 127.0.0.1:8080')
    for (const { key, value } of map.items) {
      const name = isScalar(key) ? String(key.value) : ''
      const source = at(key as Node, name)
      attempt(
        refuse,
        () => {
          if (name === 'configuration') readMap(value as Node | null)
          else readSetting(name, source, value as Node | null)
        },
        undefined,
      )
    }
  }

  function readSetting(name: string, source: string, value: Node | null): void {
    if (SECTIONS.has(name) && (value === null || isMap(value) || isEmpty(value))) {
      if (!isMap(value)) return
      for (const { key, value: inner } of value.items) {
        const member = `${name}.${isScalar(key) ? String(key.value) : ''}`
        const source = at(key as Node, member)
        attempt(refuse, () => readSetting(member, source, inner as Node | null), undefined)
      }
      return
    }
    if (Object.hasOwn(OTHERS_KEYS, name)) {
      const why = OTHERS_KEYS[name]
      if (typeof why === 'string') notice(`${source} has no effect: ${why}`)
      return
    }
    if (!isSetting(name)) {
      const known = Object.keys(SETTINGS)
      throw new ConfigError(source, 'an unknown key', `one of ${known.join(', ')}${didYouMean(name, known)}`)
    }
    const { path: isPath, form }: Setting = SETTINGS[name]
    // a list of nothing is as good as none
    if (form === 'list' && isSeq(value) && value.items.length === 0) return
    const text = form === undefined ? textOf(value, source) : textOfForm(value, form, source)
    layer.set(name, { value: isPath === true && text !== '' ? resolve(dirname(path), text) : text, source })
  }

  function at(node: Node, key = ''): string {
    return atLine(lines.linePos(node.range?.[0] ?? 0).line, key)
  }

  function atLine(line: number, key = ''): string {
    const source = `${path}:${line}${key === '' ? '' : ` ${key}`}`
    places.set(source, { file: path, line, key })
    return source
  }
}

/** A list or a map in the form that it has in the environment. */
function textOfForm(node: Node | null, form: 'list' | 'map', source: string): string {
  if (form === 'list') {
    if (!isSeq(node)) return textOf(node, source)
    return node.items.map((each) => textOf(each as Node | null, source)).join(',')
  }
  // as JSON, like in the environment
  if (isScalar(node)) return textOf(node, source)
  if (!isMap(node)) throw new ConfigError(source, 'no map', 'a map of texts')
  const entries = node.items.map(({ key, value }) => [
    textOf(key as Node | null, source),
    textOf(value as Node | null, source),
  ])
  return JSON.stringify(Object.fromEntries(entries))
}

function isEmpty(node: Node): boolean {
  return isScalar(node) && node.value === ''
}

function isSetting(name: string): name is SettingName {
  return Object.hasOwn(SETTINGS, name) && name !== 'config'
}

function textOf(node: Node | null, source: string): string {
  if (isScalar(node)) return typeof node.value === 'string' ? node.value : ''
  throw new ConfigError(source, node === null ? 'nothing' : 'a list or a map', 'one value')
}

function readText(path: string, setting: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error'
    throw new ConfigError(setting, `${path}, which cannot be read (${code})`, 'the path of a YAML file with settings')
  }
}
