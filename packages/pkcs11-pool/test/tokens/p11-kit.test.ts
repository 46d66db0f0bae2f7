import { createP11KitToken, createSoftHsmToken } from 'testkit'
import { useToken } from 'testkit/vitest'
import { tokenSuite } from './suite.js'

const token = await useToken(() => createP11KitToken(createSoftHsmToken()))
if (token !== undefined) tokenSuite('p11-kit', token)
