import type { FastifySchemaValidationError } from 'fastify'
import { didYouMean } from '../nearest.js'
import { Problem } from './problem.js'

/** The parts of a request's schema that a message needs. */
interface SchemaPart {
  properties?: Record<string, unknown>
  minimum?: number
  maximum?: number
}

/** A validator's error with the value and the schema it was about (the validator runs `verbose`). */
interface VerboseError extends FastifySchemaValidationError {
  data?: unknown
  parentSchema?: SchemaPart
}

/** The answer for a body that does not have the route's form. It names the member, and never a text that was sent. */
export function problemFromValidation(errors: readonly FastifySchemaValidationError[]): Problem {
  const [first] = errors
  if (first === undefined) return new Problem('VALIDATION_FAILED', 'the body does not have the form this route expects')
  return new Problem('VALIDATION_FAILED', describe(first))
}

function describe(error: VerboseError): string {
  const member = error.instancePath.slice(1) || 'the body'
  const schema = error.parentSchema ?? {}
  switch (error.keyword) {
    case 'required': {
      const missing = String(error.params.missingProperty)
      // a misspelt member is missing under its name: the misspelling is the better thing to say
      const unknown = firstUnknownMember(error.data, schema)
      return unknown === undefined ? `${missing} is missing` : describeUnknown(unknown, schema)
    }
    case 'additionalProperties':
      return describeUnknown(String(error.params.additionalProperty), schema)
    case 'minimum':
    case 'maximum':
      return `${member}: got ${String(error.data)}, expected an integer from ${schema.minimum} to ${schema.maximum}`
    case 'minLength':
      return `${member}: got a text of ${lengthOf(error.data)} characters, expected at least ${String(error.params.limit)}`
    case 'maxLength':
      return `${member}: got a text of ${lengthOf(error.data)} characters, expected at most ${String(error.params.limit)}`
    case 'pattern':
      return `${member}: got a text with a NUL in it, or half of a surrogate pair, expected one without`
    case 'minItems':
    case 'maxItems': {
      const length = Array.isArray(error.data) ? error.data.length : 0
      const bound = error.keyword === 'minItems' ? 'least' : 'most'
      return `${member}: got ${length} of them, expected at ${bound} ${String(error.params.limit)}`
    }
    case 'type':
      return `${member}: got ${kindOf(error.data)}, expected ${kindExpected(String(error.params.type))}`
    default:
      return `${member}: ${error.message ?? 'is not as expected'}`
  }
}

function firstUnknownMember(body: unknown, schema: SchemaPart): string | undefined {
  if (typeof body !== 'object' || body === null || schema.properties === undefined) return undefined
  const known = schema.properties
  return Object.keys(body).find((name) => !Object.hasOwn(known, name))
}

function describeUnknown(name: string, schema: SchemaPart): string {
  const known = Object.keys(schema.properties ?? {})
  const shown = JSON.stringify(name.length > 64 ? `${name.slice(0, 64)}…` : name)
  return `${shown} is no member of this request, expected ${known.join(', ')}${didYouMean(name, known)}`
}

function lengthOf(value: unknown): number {
  return typeof value === 'string' ? value.length : 0
}

function kindOf(value: unknown): string {
  if (value === undefined || value === null) return value === null ? 'null' : 'nothing'
  if (Array.isArray(value)) return 'an array'
  if (typeof value === 'object') return 'an object'
  if (typeof value === 'number') return String(value)
  return typeof value === 'string' ? 'a text' : `a ${typeof value}`
}

function kindExpected(type: string): string {
  if (type === 'string') return 'a text'
  return type === 'object' ? 'a JSON object' : `an ${type}`
}
