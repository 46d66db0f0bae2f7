import { execFileSync } from 'node:child_process'
import { findSoftHsm } from 'testkit'
import { useSoftHsm } from 'testkit/vitest'
import { afterAll, expect, test } from 'vitest'
import { createChaos, FUNCTION_NAMES } from '../../src/index.js'
import { compile } from '../support/compile.js'

useSoftHsm()
const echo = compile('echo', 'module')
const compare = compile('compare')
const chaos = createChaos({ module: echo })
const overSoftHsm = createChaos({ module: findSoftHsm() })
afterAll(async () => {
  await chaos.close()
  await overSoftHsm.close()
})

const lines = (proxy: string) => execFileSync(compare, [echo, proxy], { encoding: 'utf8' }).trim().split('\n')
const isFunction = (line: string) => line.startsWith('C_')

test('every function of 3.0 reaches the real module with its arguments as they are, and so does its answer', async () => {
  const handedOut = ['C_GetFunctionList', 'C_GetInterfaceList', 'C_GetInterface']
  expect(lines(chaos.modulePath).filter(isFunction)).toEqual(FUNCTION_NAMES.filter((name) => !handedOut.includes(name)))
  const { functions } = await chaos.counters()
  expect(Object.keys(functions).length).toBe(FUNCTION_NAMES.length)
})

test('a module of 3.0 is offered in 3.0 and 2.40, and without its vendor’s interfaces', () => {
  expect(lines(chaos.modulePath).filter((line) => !isFunction(line))).toEqual([
    'default: PKCS 11 3.0',
    '3.0: PKCS 11 3.0',
    '2.40: PKCS 11 2.40',
    '9.0: 0x6',
    'vendor: 0x6',
    'fork safe: 0x6',
    '2 interfaces, in too small a room 0x150',
    'list 2.40',
  ])
})

test('a module of 2.40 is offered in 2.40 alone', () => {
  expect(lines(overSoftHsm.modulePath).filter((line) => !isFunction(line))).toEqual([
    'default: PKCS 11 2.40',
    '3.0: 0x6',
    '2.40: PKCS 11 2.40',
    '9.0: 0x6',
    'vendor: 0x6',
    'fork safe: 0x6',
    '1 interfaces, in too small a room 0',
    'list 2.40',
  ])
})
