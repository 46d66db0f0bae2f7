import { join, resolve } from 'node:path'
import { checkDataFolder, SETTINGS_FILE } from './files.js'
import { type Refuse, refuseAtOnce } from './config-error.js'
import { attempt, type FilePlace, type Layer, Layers, layerOfEnvironment, layerOfFlags } from './layers.js'
import { readSettingsFile, type SettingsFileListeners } from './settings-file.js'

/** All that was given, and the data folder in it. */
export interface Sources {
  layers: Layers
  data: string | undefined
  /** the file of settings, where one was given */
  file: string | undefined
  /** what stands where in the files, by how an error names it */
  places: ReadonlyMap<string, FilePlace>
}

/**
 * Collects what was given, the most important first: flags, environment, the file of settings, and the data folder's own.
 *
 * @throws ConfigError, unless `refuse` lets it pass
 */
export function readSources(
  env: Readonly<Record<string, string | undefined>>,
  flags: ReadonlyMap<string, string>,
  notice: (line: string) => void,
  refuse: Refuse = refuseAtOnce,
): Sources {
  const { given, file, places } = readGiven(env, flags, notice, refuse)
  const folder = new Layers(given, refuse).text('data')
  const data = folder && resolve(folder.value)
  if (folder !== undefined && data !== undefined) {
    const isThere = attempt(
      refuse,
      () => {
        checkDataFolder(data, folder.source)
        return true
      },
      false,
    )
    if (isThere) given.push(readFile(join(data, SETTINGS_FILE), folder.source, { notice, refuse, places }))
  }
  return { layers: new Layers(given, refuse, file), data, file, places }
}

/** Flags, environment and the file of settings, as layers, without a data folder: one need not be there yet. @throws ConfigError */
export function readLayers(
  env: Readonly<Record<string, string | undefined>>,
  flags: ReadonlyMap<string, string>,
  notice: (line: string) => void,
): Layers {
  const { given, file } = readGiven(env, flags, notice, refuseAtOnce)
  return new Layers(given, refuseAtOnce, file)
}

function readGiven(
  env: Readonly<Record<string, string | undefined>>,
  flags: ReadonlyMap<string, string>,
  notice: (line: string) => void,
  refuse: Refuse,
): { given: Layer[]; file: string | undefined; places: Map<string, FilePlace> } {
  const given: Layer[] = [layerOfFlags(flags), layerOfEnvironment(env, refuse)]
  const places = new Map<string, FilePlace>()
  const named = new Layers(given, refuse).text('config')
  if (named === undefined) return { given, file: undefined, places }
  const file = resolve(named.value)
  given.push(readFile(file, named.source, { notice, refuse, places }))
  return { given, file, places }
}

function readFile(path: string, setting: string, listeners: SettingsFileListeners): Layer {
  return attempt(listeners.refuse, () => readSettingsFile(path, setting, listeners), new Map())
}
