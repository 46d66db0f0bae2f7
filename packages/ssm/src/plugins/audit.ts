import type { FastifyRequest } from 'fastify'
import type { AuditLog } from '../audit/audit-log.js'
import type { AuditEvent } from '../audit/entry.js'
import type { CountedUse, KeyUses } from '../audit/key-uses.js'
import { Refusals } from '../audit/refusals.js'
import type { Action, DeclaredAction } from '../auth/actions.js'
import { addressOf } from '../limits/address.js'
import { Problem } from '../problems/problem.js'
import type { App } from '../routes/routes.js'

declare module 'fastify' {
  interface FastifyRequest {
    /** the key that the answer names */
    answeredKeyId: number | null
    /** whether the body has the form its schema asks for, so that its members are what they are called */
    bodyIsValid: boolean
    /** whether it was let through to change keys: what became of that is on the disk before its answer */
    changesKeys: boolean
    /** what the operations of a batch did with which keys; null where the request is none */
    keyUses: KeyUses | null
    /** the code of the problem it was answered with */
    problemCode: string | null
  }
}

/** What nobody has to be known for: it is asked for every few seconds, and changes nothing. */
const UNWRITTEN: ReadonlySet<DeclaredAction | undefined> = new Set(['OPEN', 'OPERATOR'] as const)

const KEY_CHANGES: ReadonlySet<DeclaredAction> = new Set<Action>([
  'GENERATE_AES_KEY',
  'GENERATE_DES_KEY',
  'GENERATE_DES3_KEY',
  'STORE_KEY',
  'UPDATE_KEY',
  'DELETE_KEY',
])

/** How the audit bears on requests. */
export interface AuditOptions {
  log: AuditLog
  /** what is refused while the audit cannot be written: what changes keys, or everything */
  failClosed: 'changes' | 'all'
}

/**
 * Writes one entry for each request, except for those that are open to everybody; of those that are refused to anybody, a few and their number. A batch has
 * one more for each key that it used, or could not, with each outcome.
 */
export function auditRequests(app: App, { log, failClosed }: AuditOptions): void {
  app.decorateRequest('answeredKeyId', null)
  app.decorateRequest('bodyIsValid', false)
  app.decorateRequest('changesKeys', false)
  app.decorateRequest('keyUses', null)
  app.decorateRequest('problemCode', null)

  const refusals = new Refusals((event) => log.record(event))
  app.addHook('onClose', (_app, done) => {
    refusals.writeCounts()
    done()
  })
  app.addHook('preHandler', async (request) => {
    request.bodyIsValid = true
    const { action } = request.routeOptions.config
    if (action === undefined || UNWRITTEN.has(action)) return
    try {
      if (KEY_CHANGES.has(action)) await log.requireWritable()
    } catch (error) {
      throw unavailable(error)
    }
    if (failClosed === 'all' && !log.writable) throw unavailable(undefined)
    request.changesKeys = KEY_CHANGES.has(action)
  })
  app.addHook('preSerialization', (request, _reply, payload, next) => {
    const { id: own, key_info: key } = (payload ?? {}) as { id?: unknown; key_info?: { id?: unknown } }
    const id = own ?? key?.id
    if (typeof id === 'number') request.answeredKeyId = id
    next(null, payload)
  })
  app.addHook('onSend', async (request, reply, payload) => {
    const { action } = request.routeOptions.config
    if (UNWRITTEN.has(action)) return payload
    const event = eventOf(request, reply.statusCode, reply.elapsedTime)
    if (!request.changesKeys) {
      if (isOpenToAnybody(event)) refusals.record(event)
      else log.record(event)
      if (request.keyUses !== null) await recordUses(log, event, [...request.keyUses.counted()])
      return payload
    }
    try {
      await log.recordDurably(event)
      return payload
    } catch (error) {
      // what failed, or may have, promised nothing; its entry is still to be written
      if (reply.statusCode >= 400) return payload
      const problem = unaudited(event, error)
      request.problemCode = problem.code
      reply.code(problem.status).type('application/problem+json')
      return JSON.stringify(problem.toBody(request.url.split('?', 1)[0] ?? '/'))
    }
  })
}

/** A batch that used more keys than that is answered when all of that is written: many of them would fill the queue faster than it empties. */
const MANY_USES = 100

async function recordUses(log: AuditLog, batch: AuditEvent, uses: readonly CountedUse[]): Promise<void> {
  const events = uses.map((use) => ({ ...batch, ...use, durationUs: null }))
  const last = events.length > MANY_USES ? events.pop() : undefined
  for (const event of events) log.record(event)
  // where it fails it waits, as the others do
  if (last !== undefined) await log.recordDurably(last).catch(() => {})
}

/** Whether anybody could have made any number of such requests. Guesses at passwords are not among them: those are limited before they are made. */
function isOpenToAnybody({ account, action, status, error }: AuditEvent): boolean {
  if (error === 'RATE_LIMITED') return true
  return account === null && status !== null && status >= 400 && !(action === 'USER_LOGIN' && error === 'UNAUTHORIZED')
}

function unavailable(cause: unknown): Problem {
  return new Problem('AUDIT_UNAVAILABLE', 'the audit cannot be written, so this is not done; try again later', {
    cause,
    headers: { 'retry-after': '1' },
  })
}

/** No `Retry-After`, and no status that clients and balancers take for one: what was asked for is done. */
function unaudited({ keyLabel, keyId }: AuditEvent, cause: unknown): Problem {
  return new Problem(
    'KEY_CHANGE_UNAUDITED',
    `the key ${keyLabel ?? ''} with id ${keyId ?? 0} was changed as asked, but that could not be written into the audit yet: do not ask for it again, ` +
      'look at the key before going on',
    { cause },
  )
}

function eventOf(request: FastifyRequest, status: number, elapsedMs: number): AuditEvent {
  const { action = 'NONE' } = request.routeOptions.config
  const { label, id } = keyOf(request, action)
  return {
    time: new Date().toISOString(),
    account: request.account?.serviceId ?? null,
    action,
    keyLabel: label,
    keyId: id,
    address: addressOf(request),
    status,
    requestId: request.id,
    durationUs: Math.round(elapsedMs * 1000),
    error: request.problemCode,
    count: request.keyUses?.total ?? null,
    ...(action === 'USER_LOGIN' && request.account === null && { subject: nameTried(request) }),
  }
}

/** Of a name that is given by whoever failed to log in. */
const MOST_OF_A_NAME = 64

/** The account that a failed login was for: whatever it says, it is a bounded piece of printable ASCII, and of which the escapes are ours. */
function nameTried({ bodyIsValid, body }: FastifyRequest): string | undefined {
  if (!bodyIsValid) return undefined
  const { service_id: name } = body as { service_id: string }
  return name
    .slice(0, MOST_OF_A_NAME)
    .replace(/[^\x20-\x5b\x5d-\x7e]/gu, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`)
}

/** The key of a request. A body that is not valid may hold anything under any name, so nothing of it is written. */
function keyOf(request: FastifyRequest, action: DeclaredAction | 'NONE'): { label: string | null; id: number | null } {
  const body = (request.bodyIsValid ? (request.body ?? {}) : {}) as {
    key_label?: unknown
    id?: unknown
    bits?: unknown
  }
  const label = typeof body.key_label === 'string' ? body.key_label : generatedLabel(action, body.bits)
  const id = request.answeredKeyId ?? (typeof body.id === 'number' ? body.id : null)
  return { label, id: label === null ? null : id }
}

function generatedLabel(action: DeclaredAction | 'NONE', bits: unknown): string | null {
  if (action === 'GENERATE_DES_KEY') return 'KEY_ENCRYPTION_DES'
  if (action === 'GENERATE_DES3_KEY') return 'KEY_ENCRYPTION_DES3'
  return action === 'GENERATE_AES_KEY' && typeof bits === 'number' ? `KEY_ENCRYPTION_AES${bits}` : null
}
