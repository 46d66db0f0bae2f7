import type { FunctionName } from 'pkcs11-chaos'
import type { Client, OperationOptions } from 'pkcs11-pool'
import type { KnownKeys } from './keys.js'

/** What an operation of the load works on. */
export interface Subject {
  client: Client
  keys: KnownKeys
  /** the module, for what needs no client */
  module: string
  /** bounds of this call: a time, a signal, or neither */
  options: OperationOptions
}

/** One call of the library's, or a few that belong together; its answer is verified. */
export interface LoadOperation {
  name: string
  /** the functions it makes the library call; a run without faults proves it */
  calls: readonly FunctionName[]
  /** @throws WrongAnswer, and what the library rejects with */
  run(subject: Subject): Promise<void>
}
