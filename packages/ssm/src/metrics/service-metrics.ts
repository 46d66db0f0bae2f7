import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Client } from 'pkcs11-pool'
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { AuditLog } from '../audit/audit-log.js'
import { type Action, ACTIONS, type DeclaredAction } from '../auth/actions.js'
import { packageVersion } from '../package-version.js'
import type { ProblemCode } from '../problems/problem.js'
import { observeAudit } from './audit-metrics.js'
import { observeClient } from './client-metrics.js'

/** Seconds. A decrypt on a fast token takes one or two milliseconds, and a deadline is at most some seconds. */
const DURATION_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

/** Figures that follow Node's naming and not Prometheus': gauges whose names end as those of counters do. */
const MISNAMED = ['nodejs_active_handles_total', 'nodejs_active_requests_total', 'nodejs_active_resources_total']

/** Methods that have a name among the labels; a client can send any word. */
const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])

/** What became of an operation: done; refused, which is the caller's matter; or failed, which is the service's or the token's. */
type Outcome = 'done' | 'refused' | 'failed'

/** What is known of a request when it has been answered. */
export interface RequestEnd {
  method: string
  /** the route's pattern; undefined where nothing is */
  route: string | undefined
  action: DeclaredAction | undefined
  /** undefined where the client went away before it was answered */
  status: number | undefined
  seconds: number
}

/**
 * The service's figures. What a client chooses is no label: of paths the routes there are, of methods the usual ones, of keys none, so
 * that there are never more series than the code has names for.
 */
export class ServiceMetrics {
  readonly #registry = new Registry()
  readonly #requests = this.#counter('ssm_http_requests_total', 'Requests that ended.', ['method', 'route', 'status'])
  readonly #durations = new Histogram({
    name: 'ssm_http_request_duration_seconds',
    help: 'Time from a request’s head to the end of its answer.',
    labelNames: ['method', 'route'] as const,
    buckets: DURATION_BUCKETS,
    registers: [this.#registry],
  })
  readonly #inFlight = new Gauge({
    name: 'ssm_http_requests_in_flight',
    help: 'Requests that are being answered.',
    registers: [this.#registry],
  })
  readonly #operations = this.#counter(
    'ssm_operations_total',
    'Operations by what was asked for, those in batches one by one: done, refused (4xx), failed (5xx).',
    ['action', 'outcome'],
  )
  readonly #problems = this.#counter('ssm_problems_total', 'Problems answered, by their code.', ['code'])
  readonly #logins = this.#counter('ssm_logins_total', 'Attempts to log in: succeeded, failed, limited, error.', [
    'result',
  ])

  constructor() {
    const build = new Gauge({
      name: 'ssm_build_info',
      help: 'Always 1; the version is in the label.',
      labelNames: ['version'] as const,
      registers: [this.#registry],
    })
    build.set({ version: packageVersion() }, 1)
    // what has not happened yet is 0 and not absent: a rate needs a first value
    for (const result of ['succeeded', 'failed', 'limited', 'error']) this.#logins.inc({ result }, 0)
    for (const action of ACTIONS) {
      for (const outcome of ['done', 'refused', 'failed']) this.#operations.inc({ action, outcome }, 0)
    }
  }

  /** Adds the process's own figures: event loop, garbage collection, memory, processor. Once a process. */
  observeProcess(): void {
    collectDefaultMetrics({ register: this.#registry })
    for (const name of MISNAMED) this.#registry.removeSingleMetric(name)
  }

  /** Adds the audit's figures. */
  observeAudit(log: Pick<AuditLog, 'stats'>): void {
    observeAudit(this.#registry, log)
  }

  /** Adds what the client's events tell, beside the figures that it offers itself. */
  observeClient(client: Client): void {
    observeClient(this.#registry, client)
  }

  /** Counts a request from now until its answer has left, or its client has. */
  follow(message: IncomingMessage, response: ServerResponse, endOf: (status: number | undefined) => RequestEnd): void {
    this.#inFlight.inc()
    let isOpen = true
    const end = (isAnswered: boolean) => {
      if (!isOpen) return
      isOpen = false
      this.#inFlight.dec()
      this.#count(message, endOf(isAnswered ? response.statusCode : undefined))
    }
    response.once('finish', () => end(true))
    response.once('close', () => end(response.writableFinished))
  }

  /** Counts one operation of a batch. */
  countOperation(action: Action, status: number): void {
    this.#operations.inc({ action, outcome: outcomeOf(status) })
  }

  countProblem(code: ProblemCode): void {
    this.#problems.inc({ code })
  }

  /** Prometheus' text format, the client's figures with it. */
  async text(client: Pick<Client, 'metrics'>): Promise<string> {
    return `${(await this.#registry.metrics()).trimEnd()}\n${client.metrics()}`
  }

  get contentType(): string {
    return this.#registry.contentType
  }

  #count(message: IncomingMessage, { route = 'unknown', action, status, seconds }: RequestEnd): void {
    const sent = message.method ?? ''
    const method = METHODS.has(sent) ? sent : 'other'
    this.#requests.inc({ method, route, status: status ?? 'aborted' })
    this.#durations.observe({ method, route }, seconds)
    if (status === undefined || action === undefined) return
    if (action === 'USER_LOGIN') this.#logins.inc({ result: loginResultOf(status) })
    if (isAction(action)) this.countOperation(action, status)
  }

  #counter<L extends string>(name: string, help: string, labelNames: readonly L[]): Counter<L> {
    return new Counter({ name, help, labelNames, registers: [this.#registry] })
  }
}

function outcomeOf(status: number): Outcome {
  if (status >= 500) return 'failed'
  return status >= 400 ? 'refused' : 'done'
}

function loginResultOf(status: number): string {
  if (status === 429) return 'limited'
  return { done: 'succeeded', refused: 'failed', failed: 'error' }[outcomeOf(status)]
}

function isAction(action: DeclaredAction): action is Action {
  return (ACTIONS as readonly string[]).includes(action)
}
