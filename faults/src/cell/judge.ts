import type { Misuse } from 'pkcs11-chaos'
import type { Cell } from '../cells.js'
import { STALLING } from '../faults.js'
import type { CellRun } from './cell-run.js'

/** What the fault proxy has counted: failed logins, and what PKCS#11 forbids. */
export async function judge({ world, witness, cell }: CellRun): Promise<void> {
  const { logins } = await world.chaos.counters()
  if (logins.rejected > 1) witness.violated('login', `${logins.rejected} logins were rejected with one PIN`)
  for (const misuse of await world.chaos.misuse()) {
    if (isExplained(misuse, cell)) continue
    witness.violated('misuse', `${misuse.kind} in ${misuse.function}, ${misuse.count} times: ${misuse.first}`)
  }
  if (logins.rejected > 0 || (await world.chaos.misuse()).length > 0) await world.chaos.resetCounters()
}

/**
 * A session in which a call was given up is closed when that call returns, with whatever the call has started: nobody knows what is
 * active in it, and there is no other way to end it in 2.40. Nor is there for a use of a key to which the PIN was to be sent.
 */
function isExplained({ kind, function: name }: Misuse, { fn, fault }: Cell): boolean {
  return kind === 'closed-active' && name === 'C_CloseSession' && (STALLING.has(fault) || fn === 'C_Login')
}
