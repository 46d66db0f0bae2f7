import { createSoftHsmToken } from 'testkit'
import { useToken } from 'testkit/vitest'
import { tokenSuite } from './suite.js'

const token = await useToken(() => createSoftHsmToken())
if (token !== undefined) tokenSuite('softhsm', token)
