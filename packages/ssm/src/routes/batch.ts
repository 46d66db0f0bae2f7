import type { FastifyRequest, FastifySchemaValidationError } from 'fastify'
import type { TSchema } from 'typebox'
import type { Sealed } from '../hsm/hsm.js'
import type { Used } from '../hsm/label-keys.js'
import { KeyUses } from '../audit/key-uses.js'
import type { Action } from '../auth/actions.js'
import { invalidOperation } from '../auth/auth-problems.js'
import { didYouMean } from '../nearest.js'
import { planDecryptAesGcm, planEncryptAesGcm } from '../operations/aes-gcm.js'
import { runBatch } from '../operations/batch.js'
import { planDecrypt } from '../operations/decrypt.js'
import { planEncrypt } from '../operations/encrypt.js'
import type { Plan } from '../operations/plan.js'
import { problemFromError } from '../problems/from-error.js'
import type { FailureCode } from '../problems/from-library.js'
import { problemFromValidation } from '../problems/from-validation.js'
import { Problem, type ProblemCode } from '../problems/problem.js'
import {
  type DecryptAesGcmRequest,
  decryptAesGcmRequest,
  type EncryptAesGcmRequest,
  encryptAesGcmRequest,
} from '../schemas/aes-gcm.js'
import { type BatchAnswer, batchAnswer, batchRequest } from '../schemas/batch.js'
import { type DecryptRequest, decryptRequest } from '../schemas/decrypt.js'
import { type EncryptRequest, encryptRequest } from '../schemas/encrypt.js'
import { decryptAesGcmAnswerOf, decryptAnswerOf, encryptAesGcmAnswerOf, encryptAnswerOf } from './answers.js'
import { underBothNames } from './paths.js'
import { readDecryption, readEncryption, readGcmDecryption, readGcmEncryption } from './requests.js'
import type { App, RouteContext } from './routes.js'

type Result = BatchAnswer['results'][number]
type Value = Used<Buffer | Sealed>

/** A plan, and what to answer when it has been carried out. */
interface Planned extends Plan {
  answer: (used: Value) => Result
}

/** An operation of a batch: it is to the letter what the route of its name does. */
interface Operation {
  action: Action
  failure: FailureCode
  schema: TSchema
  /** `body` has the schema's form */
  plan: (body: unknown, legacyAlgorithms: boolean) => Planned
}

/** The members of every operation's request that name its key. */
interface NamedKey {
  key_label?: string | undefined
  id?: number | undefined
}

/** What an operation of a batch wanted: the key only where its request has the form that it should. */
interface Asked extends NamedKey {
  action: Action
}

/** What became of it. */
interface Outcome {
  result: Result
  /** the problem's code */
  error: ProblemCode | null
  /** the key that was used */
  keyId?: number
}

const OPERATIONS: Readonly<Record<string, Operation>> = {
  encrypt: {
    action: 'ENCRYPT_DATA',
    failure: 'ENCRYPTION_ERROR',
    schema: encryptRequest,
    plan: (body, legacyAlgorithms) => {
      const { keyLabel, algorithm, plain } = readEncryption(body as EncryptRequest, legacyAlgorithms)
      const plan = planEncrypt(keyLabel, algorithm, plain)
      const answer = ({ key, value }: Value) => encryptAnswerOf({ cipher: value as Buffer, iv: plan.iv, id: key.id })
      return { ...plan, answer: (used) => ({ status: 201, body: answer(used) }) }
    },
  },
  decrypt: {
    action: 'DECRYPT_DATA',
    failure: 'DECRYPTION_ERROR',
    schema: decryptRequest,
    plan: (body, legacyAlgorithms) => ({
      ...planDecrypt(readDecryption(body as DecryptRequest, legacyAlgorithms)),
      answer: ({ value }) => ({ status: 200, body: decryptAnswerOf(value as Buffer) }),
    }),
  },
  'encrypt-aes-gcm': {
    action: 'ENCRYPT_AES_GCM',
    failure: 'ENCRYPTION_ERROR',
    schema: encryptAesGcmRequest,
    plan: (body) => ({
      ...planEncryptAesGcm(readGcmEncryption(body as EncryptAesGcmRequest)),
      answer: ({ key, value }) => ({ status: 200, body: encryptAesGcmAnswerOf({ ...(value as Sealed), id: key.id }) }),
    }),
  },
  'decrypt-aes-gcm': {
    action: 'DECRYPT_AES_GCM',
    failure: 'AUTHENTICATION_FAILED',
    schema: decryptAesGcmRequest,
    plan: (body) => ({
      ...planDecryptAesGcm(readGcmDecryption(body as DecryptAesGcmRequest)),
      answer: ({ key, value }) => ({ status: 200, body: decryptAesGcmAnswerOf(value as Buffer, key.id) }),
    }),
  },
}

const NAMES = Object.keys(OPERATIONS)

/** `POST /crypto/batch`: up to 1,000 operations, each answered as its own route would, in a few hops to the token. */
export function batchRoutes(app: App, context: RouteContext): void {
  for (const path of underBothNames('batch')) {
    app.post(
      path,
      {
        schema: {
          tags: ['data'],
          summary: 'Encrypts and decrypts up to 1,000 times at once',
          body: batchRequest,
          response: { 200: batchAnswer },
        },
        config: { action: 'BATCH', failure: 'INTERNAL_ERROR' },
      },
      (request) => answerBatch(context, request, request.body.operations, path),
    )
  }
}

async function answerBatch(
  context: RouteContext,
  request: FastifyRequest,
  operations: readonly object[],
  path: string,
): Promise<BatchAnswer> {
  const outcomes = new Array<Outcome>(operations.length)
  const refuse = (place: number, error: unknown, failure: FailureCode): void => {
    const problem = problemFromError(error, failure)
    if (problem.status >= 500) context.onFailure(problem)
    context.metrics.countProblem(problem.code)
    outcomes[place] = { result: { status: problem.status, body: problem.toBody(path) }, error: problem.code }
  }
  const planned: { place: number; plan: Planned; failure: FailureCode }[] = []
  const asked = new Array<Asked>(operations.length)
  for (const [place, item] of operations.entries()) {
    try {
      const { operation, body } = readOperation(item)
      asked[place] = { action: operation.action }
      if (!request.mayDo(operation.action)) throw invalidOperation()
      requireForm(request, operation.schema, body)
      const { key_label, id } = body as NamedKey
      asked[place] = { action: operation.action, key_label, id }
      planned.push({ place, plan: operation.plan(body, context.legacyAlgorithms), failure: operation.failure })
    } catch (error) {
      refuse(place, error, 'INTERNAL_ERROR')
    }
  }
  const settled = await runBatch(
    context.hsm,
    context.keys,
    planned.map(({ plan }) => plan),
  )
  for (const [at, { place, plan, failure }] of planned.entries()) {
    const outcome = settled[at]
    if (outcome?.status !== 'fulfilled') refuse(place, outcome?.reason, failure)
    else outcomes[place] = { result: plan.answer(outcome.value), error: null, keyId: outcome.value.key.id }
  }
  request.keyUses = new KeyUses()
  for (const [place, { result, error, keyId }] of outcomes.entries()) {
    const { action, key_label: keyLabel = null, id = null } = asked[place] ?? {}
    if (action !== undefined) context.metrics.countOperation(action, result.status)
    request.keyUses.add({ action: action ?? 'NONE', keyLabel, keyId: keyId ?? id, status: result.status, error })
  }
  return { results: outcomes.map(({ result }) => result) }
}

/** @throws Problem VALIDATION_FAILED */
function readOperation(item: object): { operation: Operation; body: object } {
  const { operation: name, ...body } = item as Record<string, unknown>
  const operation = typeof name === 'string' && Object.hasOwn(OPERATIONS, name) ? OPERATIONS[name] : undefined
  if (operation !== undefined) return { operation, body }
  const got = name === undefined ? 'nothing' : `another ${typeof name === 'string' ? 'text' : 'value'}`
  const hint = typeof name === 'string' ? didYouMean(name, NAMES) : ''
  throw new Problem('VALIDATION_FAILED', `operation: got ${got}, expected one of ${NAMES.join(', ')}${hint}`)
}

/** @throws Problem VALIDATION_FAILED */
function requireForm(request: FastifyRequest, schema: TSchema, body: object): void {
  const validate = request.compileValidationSchema(schema, 'body')
  if (validate(body)) return
  throw problemFromValidation((validate.errors ?? []) as FastifySchemaValidationError[])
}
