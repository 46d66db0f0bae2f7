import type { FastifyRequest } from 'fastify'
import type { AuditLog } from '../audit/audit-log.js'
import type { AuditEvent } from '../audit/entry.js'
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

/** Writes one entry for each request, except for those that are open to everybody. */
export function auditRequests(app: App, { log, failClosed }: AuditOptions): void {
  app.decorateRequest('answeredKeyId', null)
  app.decorateRequest('bodyIsValid', false)
  app.decorateRequest('problemCode', null)

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
  })
  app.addHook('preSerialization', (request, _reply, payload, next) => {
    const { id } = (payload ?? {}) as { id?: unknown }
    if (typeof id === 'number') request.answeredKeyId = id
    next(null, payload)
  })
  app.addHook('onSend', async (request, reply, payload) => {
    const { action } = request.routeOptions.config
    if (UNWRITTEN.has(action)) return payload
    const event = eventOf(request, reply.statusCode, reply.elapsedTime)
    if (action === undefined || !KEY_CHANGES.has(action) || reply.statusCode >= 400) {
      log.record(event)
      return payload
    }
    try {
      await log.recordDurably(event)
      return payload
    } catch (error) {
      const problem = unavailable(
        error,
        'the key was changed, but that could not be written into the audit: look at the key before going on',
      )
      reply.code(problem.status).headers(problem.headers).type('application/problem+json')
      return JSON.stringify(problem.toBody(request.url.split('?', 1)[0] ?? '/'))
    }
  })
}

function unavailable(
  cause: unknown,
  detail = 'the audit cannot be written, so this is not done; try again later',
): Problem {
  return new Problem('AUDIT_UNAVAILABLE', detail, { cause, headers: { 'retry-after': '1' } })
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
    count: null,
  }
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
