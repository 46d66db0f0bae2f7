import { join, resolve } from 'node:path'
import { checkDataFolder, SETTINGS_FILE } from './files.js'
import { type Layer, Layers, layerOfEnvironment, layerOfFlags } from './layers.js'
import { readSettingsFile } from './settings-file.js'

/** All that was given, and the data folder in it. */
export interface Sources {
  layers: Layers
  data: string | undefined
}

/**
 * Collects what was given, the most important first: flags, environment, the file of settings, and the data folder's own.
 *
 * @throws ConfigError
 */
export function readSources(
  env: Readonly<Record<string, string | undefined>>,
  flags: ReadonlyMap<string, string>,
  notice: (line: string) => void,
): Sources {
  const given: Layer[] = [layerOfFlags(flags), layerOfEnvironment(env)]
  const file = new Layers(given).text('config')
  if (file !== undefined) given.push(readSettingsFile(resolve(file.value), file.source, notice))

  const folder = new Layers(given).text('data')
  if (folder === undefined) return { layers: new Layers(given), data: undefined }
  const data = resolve(folder.value)
  checkDataFolder(data, folder.source)
  given.push(readSettingsFile(join(data, SETTINGS_FILE), folder.source, notice))
  return { layers: new Layers(given), data }
}
