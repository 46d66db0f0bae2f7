import { ownToken } from 'testkit'
import { expect, test } from 'vitest'
import { tokenSuite } from './suite.js'

// docs/tokens.md says how to have an HSM of one's own go through this. No wrong PIN is sent to it.
const isGiven = process.env.TEST_TOKEN_MODULE !== undefined
if (isGiven) tokenSuite('own', ownToken(), { mayFailLogin: false })

test.skipIf(isGiven)('without a token of one’s own, what is missing is named', () => {
  expect(() => ownToken()).toThrow('TEST_TOKEN_MODULE')
})
