import { createTpmToken } from 'testkit'
import { useToken } from 'testkit/vitest'
import { tokenSuite } from './suite.js'

const token = await useToken(() => createTpmToken())
if (token !== undefined) tokenSuite('tpm', token)
