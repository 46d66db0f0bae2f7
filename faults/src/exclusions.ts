import type { Cell } from './cells.js'
import { LOADING, OF_3_0, UNUSED } from './functions.js'

function isOneOf(name: string, names: readonly string[]): boolean {
  return names.includes(name)
}

/** The cells that make no sense, and why. The first rule that applies counts. */
const RULES = {
  'the token has no interface of 3.0': ({ fn }) => isOneOf(fn, OF_3_0),
  'the library never calls it': ({ fn }) => isOneOf(fn, UNUSED),
  'a module is loaded once a process, by its first client': ({ fn, moment }) =>
    isOneOf(fn, LOADING) && moment !== 'start',
  'a module is initialised by its first client, and after it has lost that': ({ fn, moment }) =>
    fn === 'C_Initialize' && moment !== 'start' && moment !== 'reinitialising',
  'a module is finalised by its last client, and before it is initialised again': ({ fn, moment }) =>
    fn === 'C_Finalize' && moment !== 'closing' && moment !== 'reinitialising',
  'nothing is finalised of a module that has lost its initialisation, so no answer is lost': ({ fn, fault, moment }) =>
    fn === 'C_Finalize' && fault === 'lost' && moment === 'reinitialising',
  'no session is open yet that could be dropped': ({ fn, fault, moment }) =>
    fault === 'dropped' && moment === 'start' && isOneOf(fn, [...LOADING, 'C_Initialize']),
} as const satisfies Record<string, (cell: Cell) => boolean>

export type RuleName = keyof typeof RULES

export function excludedBy(cell: Cell): RuleName | undefined {
  return (Object.keys(RULES) as RuleName[]).find((name) => RULES[name](cell))
}
