import type { FunctionName } from 'pkcs11-chaos'
import { MIX } from './load/mix.js'
import type { LoadOperation } from './load/operation.js'
import { SPECIAL } from './load/special.js'

/** Called once a process, when it loads the module. */
export const LOADING = ['C_GetInterface', 'C_GetFunctionList'] as const

/** Called by the client itself, whatever is asked of it. */
const OWN = ['C_Initialize', 'C_Finalize', 'C_OpenSession', 'C_CloseSession'] as const

/** Called only on modules with the interface of 3.0, which SoftHSM does not have. */
export const OF_3_0 = ['C_SessionCancel'] as const

/** In the native table of operations, but nothing in the library asks for it: a logout ends the login of the whole process. */
export const UNUSED = ['C_Logout'] as const

/** Every function that the library calls. A call of any other, in any cell, is a violation; so the list cannot fall behind unnoticed. */
export const FUNCTIONS: readonly FunctionName[] = [
  ...new Set<FunctionName>([
    ...LOADING,
    ...OWN,
    ...OF_3_0,
    ...UNUSED,
    ...[...MIX, ...SPECIAL].flatMap(({ calls }) => calls),
  ]),
]

/** What runs in a function's cells: the mix, and what reaches the function in other ways. */
export function loadFor(fn: FunctionName): readonly LoadOperation[] {
  return [...MIX, ...SPECIAL.filter(({ calls }) => calls.includes(fn))]
}
