import { createOpenCryptokiToken } from 'testkit'
import { useToken } from 'testkit/vitest'
import { tokenSuite } from './suite.js'

const token = await useToken(() => createOpenCryptokiToken())
if (token !== undefined) tokenSuite('opencryptoki', token, { countsSessions: true })
