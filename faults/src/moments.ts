/** When the function begins to misbehave. */
export const MOMENTS = [
  'start', // before createClient
  'first-use', // a client that has done nothing yet
  'idle', // nobody calls, the library's own probes do
  'busy', // in the middle of a load
  'at-max', // every session is leased, and callers wait
  'draining', // reset and another PIN, while sessions are in use
  'closing', // close, while sessions are in use
  'recovering', // the token has just dropped every session
  'reinitialising', // the module has just forgotten that it was initialised
] as const

export type MomentName = (typeof MOMENTS)[number]
