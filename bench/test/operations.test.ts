import { createCipheriv, createSecretKey, generateKeyPairSync, sign } from 'node:crypto'
import { expect, test } from 'vitest'
import { INPUTS, IV, verifyOutputs } from '../src/crypto/operations.js'

const MESSAGE = INPUTS.rsa

test('a right ciphertext passes, another key’s or a cut one does not', () => {
  const key = createSecretKey(Buffer.alloc(32, 1))
  const cipher = createCipheriv('aes-256-cbc', key, IV)
  const bytes = Buffer.concat([cipher.update(INPUTS.aes), cipher.final()])
  verifyOutputs('aes', key, [{ key: 0, bytes }])
  expect(() => verifyOutputs('aes', createSecretKey(Buffer.alloc(32, 2)), [{ key: 0, bytes }])).toThrow(
    'a wrong aes result',
  )
  expect(() => verifyOutputs('aes', key, [{ key: 0, bytes: bytes.subarray(0, 16) }])).toThrow('a wrong aes result')
})

test('signatures are verified against what was signed', () => {
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
  const signature = sign('sha256', MESSAGE, { key: ec, dsaEncoding: 'ieee-p1363' })
  verifyOutputs('ecdsa', ec, [{ key: 0, bytes: signature }])
  verifyOutputs('rsa', rsa, [{ key: 0, bytes: sign('sha256', MESSAGE, rsa) }])
  expect(() => verifyOutputs('ecdsa', ec, [{ key: 0, bytes: signature.map((byte) => byte ^ 1) }])).toThrow(
    'a wrong ecdsa result',
  )
})

test('having no result to verify is an error too', () => {
  expect(() => verifyOutputs('aes', createSecretKey(Buffer.alloc(32)), [])).toThrow('no aes result to verify')
})
