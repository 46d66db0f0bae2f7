import { createNssToken } from 'testkit'
import { useToken } from 'testkit/vitest'
import { tokenSuite } from './suite.js'

const token = await useToken(() => createNssToken())
if (token !== undefined) tokenSuite('nss', token)
