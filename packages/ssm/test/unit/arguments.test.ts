import { describe, expect, it } from 'vitest'
import { parseCommand } from '../../src/cli/arguments.js'

const SWITCHES = [
  ['revoke', ['signing-key', 'rotate']],
  ['json', ['init']],
  ['json', ['account', 'add', 'udm-2']],
  ['json', ['account', 'list']],
  ['json', ['account', 'reset-password', 'udm-2']],
  ['json', ['config', 'check']],
] as const

describe('a switch of a command', () => {
  it.each(SWITCHES)('--%s of %j is on alone and with true, and off with false', (name, command) => {
    expect(parseCommand([...command, `--${name}`]).own.has(name)).toBe(true)
    expect(parseCommand([...command, `--${name}=true`]).own.has(name)).toBe(true)
    expect(parseCommand([...command, `--${name}=false`]).own.has(name)).toBe(false)
  })

  it.each(['', 'no', 'False', '0', '1'])('is refused with the value "%s", and twice', (value) => {
    expect(() => parseCommand(['signing-key', 'rotate', `--revoke=${value}`])).toThrow(
      `--revoke: got ${JSON.stringify(value)}, expected true, false or no value`,
    )
    expect(() => parseCommand(['signing-key', 'rotate', '--revoke=false', '--revoke'])).toThrow('got the flag twice')
  })

  it('is refused where the command does not have it, whatever its value', () => {
    expect(() => parseCommand(['serve', '--revoke=false'])).toThrow('a flag that ssm serve does not have')
  })

  it.each(['help', 'version'])('--%s takes no value', (name) => {
    expect(parseCommand([`--${name}`]).name).toBe(name)
    expect(() => parseCommand([`--${name}=false`])).toThrow(`--${name}: got "false", expected no value`)
  })
})

describe('a switch that is a setting', () => {
  it.each(['is-https', 'send-secrets-unencrypted', 'legacy-algorithms'])('--%s keeps its value', (name) => {
    expect(parseCommand(['serve', `--${name}`]).flags.get(name)).toBe('true')
    expect(parseCommand(['serve', `--${name}=false`]).flags.get(name)).toBe('false')
  })
})
