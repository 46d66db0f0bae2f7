import { resolve } from 'node:path'
import { Document, Scalar } from 'yaml'
import { ConfigError } from './config-error.js'
import { layerOfFlags } from './layers.js'
import { SETTINGS, type Setting, type SettingName } from './settings.js'

const WIDTH = 96

/** What does not belong into a file: where the file is, and a secret that has better places. */
const LEFT_OUT: ReadonlySet<SettingName> = new Set(['config', 'pin'])

/**
 * A file of settings in which every setting is explained. What is given is in force; all else is an example behind a `#`.
 *
 * @param flags settings to put in force, as on a command line
 * @throws ConfigError on an unknown flag, and on one that does not belong into a file
 */
export function exampleFile(flags: ReadonlyMap<string, string>): string {
  const given = layerOfFlags(flags)
  for (const [name, { source }] of given) {
    if (LEFT_OUT.has(name)) throw new ConfigError(source, 'a setting that has no place in a file', 'any other')
  }
  const settings = (Object.entries(SETTINGS) as [SettingName, Setting][]).filter(([name]) => !LEFT_OUT.has(name))
  const parts = settings.map(([name, { help, env, example, path }]) => {
    const value = given.get(name)?.value
    // one that is relative was meant from here, and not from wherever the file will be
    const text = value !== undefined && path === true ? resolve(value) : value
    const line = text === undefined ? `#${name}: ${example ?? ''}`.trimEnd() : `${name}: ${yamlText(text)}`
    return `${comment(`${help}. In the environment: ${env}`)}${line}\n`
  })
  return `${comment(HEADER)}\n${parts.join('\n')}`
}

const HEADER =
  'Settings of ssm serve --config FILE. A setting in the environment counts before this file, and a flag before both; the settings in ' +
  'the data folder come last, so that what is not said here is as ssm init made it. Paths are meant from the folder of this file. ' +
  'The PIN does not belong here: a file of its own (pinFile) or the environment (SSM_PIN) holds it. Check it with: ssm config check --config FILE'

function comment(text: string): string {
  const lines: string[] = []
  let line = '#'
  for (const word of text.split(' ')) {
    if (line.length + word.length >= WIDTH) {
      lines.push(line)
      line = '#'
    }
    line += ` ${word}`
  }
  return [...lines, line].map((each) => `${each}\n`).join('')
}

/** A text as YAML that reads as this text, also where a plain one would be read as something else. */
function yamlText(value: string): string {
  const scalar = new Scalar(value)
  const plain = /^[\w./][\w./@-]*(:\d+)?$/.test(value)
  scalar.type = plain ? Scalar.PLAIN : Scalar.QUOTE_DOUBLE
  return new Document(scalar, { schema: 'failsafe' }).toString({ lineWidth: 0 }).trimEnd()
}
