import { createCipheriv, createHash, createPublicKey, type KeyObject, verify } from 'node:crypto'

export type OperationName = 'aes' | 'ecdsa' | 'rsa'

export const OPERATION_TITLES: Record<OperationName, string> = {
  aes: 'AES-256-CBC-PAD, 16 bytes',
  ecdsa: 'ECDSA P-256, 32-byte hash',
  rsa: 'RSA-2048, SHA-256 and PKCS#1 v1.5',
}

/** What every contender is asked to do: always the same bytes, under the keys in turn. */
export interface Task {
  operation: OperationName
  /** labels; where there are several they are used in turn, each caller beginning at its own number */
  keys: readonly string[]
}

/** A result and the number, in `Task.keys`, of the key it was made with. */
export interface Output {
  key: number
  bytes: Uint8Array
}

const MESSAGE = Buffer.from('sixteen bytes in')
export const IV = Buffer.from('000102030405060708090a0b0c0d0e0f', 'hex')

/** CKM_ECDSA signs what it is given, which has to be a hash. */
export const INPUTS: Record<OperationName, Buffer> = {
  aes: MESSAGE,
  ecdsa: createHash('sha256').update(MESSAGE).digest(),
  rsa: MESSAGE,
}

/** Throws unless each output is what the key gives for the input, as node:crypto has it. */
export function verifyOutputs(operation: OperationName, key: KeyObject, outputs: readonly Output[]): void {
  if (outputs.length === 0) throw new Error(`no ${operation} result to verify`)
  for (const { bytes } of outputs) {
    if (!isRight(operation, key, bytes))
      throw new Error(`a wrong ${operation} result: ${Buffer.from(bytes).toString('hex')}`)
  }
}

function isRight(operation: OperationName, key: KeyObject, bytes: Uint8Array): boolean {
  switch (operation) {
    case 'aes': {
      const cipher = createCipheriv('aes-256-cbc', key, IV)
      return Buffer.concat([cipher.update(MESSAGE), cipher.final()]).equals(bytes)
    }
    case 'ecdsa':
      return verify('sha256', MESSAGE, { key: createPublicKey(key), dsaEncoding: 'ieee-p1363' }, bytes)
    case 'rsa':
      return verify('sha256', MESSAGE, createPublicKey(key), bytes)
  }
}
