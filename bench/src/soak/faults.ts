import type { Chaos } from 'pkcs11-chaos'

/** Something that happens to the token, and how it is over. */
export interface Fault {
  name: string
  begin(chaos: Chaos): Promise<unknown>
  end(chaos: Chaos): Promise<unknown>
}

const CALLS = ['C_EncryptInit', 'C_Encrypt', 'C_Decrypt', 'C_Sign', 'C_Verify', 'C_FindObjectsInit'] as const

function rule(name: string, begin: Fault['begin']): Fault {
  return { name, begin, end: (chaos) => chaos.rules.clear() }
}

/** An event: there is nothing to take back. */
function event(name: string, begin: Fault['begin']): Fault {
  return { name, begin, end: () => Promise.resolve() }
}

export const FAULTS: readonly Fault[] = [
  rule('one call in ten fails with CKR_DEVICE_ERROR', (chaos) =>
    chaos.rules.add({ on: CALLS, fail: 'CKR_DEVICE_ERROR', probability: 0.1 }),
  ),
  rule('every call fails with CKR_DEVICE_ERROR', (chaos) => chaos.rules.add({ on: '*', fail: 'CKR_DEVICE_ERROR' })),
  rule('one call in ten is told to have failed after it worked', (chaos) =>
    chaos.rules.add({ on: CALLS, fail: 'CKR_FUNCTION_FAILED', probability: 0.1, phase: 'after' }),
  ),
  rule('one call in ten loses its session', (chaos) =>
    chaos.rules.add({ on: CALLS, fail: 'CKR_SESSION_HANDLE_INVALID', probability: 0.1 }),
  ),
  rule('calls take 5 to 50 ms more', (chaos) => chaos.rules.add({ on: CALLS, delayMs: [5, 50] })),
  rule('three calls hang', (chaos) => chaos.rules.add({ on: CALLS, hang: true, times: 3 })),
  rule('no session more than three', (chaos) => chaos.rules.add({ sessionLimit: 3 })),
  rule('throttled to 200 calls a second', (chaos) => chaos.rules.add({ on: CALLS, throttle: { perSecond: 200 } })),
  event('all sessions dropped', (chaos) => chaos.dropSessions()),
  event('logged out', (chaos) => chaos.logOut()),
  {
    name: 'the token is taken out and put back',
    begin: (chaos) => chaos.removeToken(),
    end: (chaos) => chaos.insertToken(),
  },
]
