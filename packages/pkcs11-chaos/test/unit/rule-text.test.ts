import { expect, test } from 'vitest'
import { formatRule } from '../../src/rule-text.js'
import { FUNCTION_NAMES, RETURN_VALUES, type Rule } from '../../src/index.js'

const fail = { on: 'C_Sign', fail: 'CKR_DEVICE_ERROR' } as const

test.each<[Rule, string]>([
  [fail, 'on=C_Sign fail=48'],
  [{ on: ['C_Sign', 'C_Verify'], fail: 0x80000001 }, 'on=C_Sign,C_Verify fail=2147483649'],
  [{ ...fail, on: '*', phase: 'after' }, 'on=* fail=48 after=1'],
  [{ ...fail, phase: 'before' }, 'on=C_Sign fail=48 after=0'],
  [{ ...fail, nth: 2, every: 3, times: 4, slot: 5 }, 'on=C_Sign fail=48 nth=2 every=3 times=4 slot=5'],
  [{ ...fail, times: Infinity, from: undefined }, 'on=C_Sign fail=48'],
  [{ ...fail, probability: 0.25, seed: 9 }, 'on=C_Sign fail=48 probability=0.25 seed=9'],
  [{ ...fail, from: 'C_Login', until: 'C_Logout' }, 'on=C_Sign fail=48 from=C_Login until=C_Logout'],
  [{ on: 'C_Sign', delayMs: 5 }, 'on=C_Sign delay=5-5'],
  [{ on: 'C_Sign', delayMs: [5, 7.5] }, 'on=C_Sign delay=5-7.5'],
  [{ on: 'C_Sign', hang: true }, 'on=C_Sign hang=1'],
  [{ on: 'C_Sign', crash: 'kill' }, 'on=C_Sign crash=kill'],
  [{ on: 'C_Sign', act: 'logOut' }, 'on=C_Sign act=logOut'],
  [{ on: 'C_Sign', throttle: { perSecond: 10 } }, 'on=C_Sign throttle=10'],
  [
    { on: 'C_Sign', throttle: { perSecond: 1, burst: 2, rv: 'CKR_DEVICE_ERROR' } },
    'on=C_Sign throttle=1 burst=2 rv=48',
  ],
  [{ sessionLimit: 3 }, 'sessionLimit=3 on=C_OpenSession'],
  [
    { tokenInfo: { set: ['CKF_USER_PIN_LOCKED'], clear: ['CKF_LOGIN_REQUIRED'], maxSessions: 4 } },
    'tokenInfo=1 setFlags=262144 clearFlags=4 maxSessions=4 on=C_GetTokenInfo after=1',
  ],
  [{ removeToken: true, slot: 1 }, 'removeToken=1 slot=1'],
])('%j is the text %s', (rule, text) => {
  expect(formatRule(rule)).toBe(text)
})

test.each<[object, string]>([
  [{ ...fail, colour: 'red' }, "got 'colour', which no rule has"],
  [{ ...fail, tims: 3 }, "got 'tims', which no rule has; did you mean times?"],
  [{ on: 'C_Sgin', hang: true }, 'got on "C_Sgin", expected a function of PKCS#11; did you mean C_Sign?'],
  [{ on: [], hang: true }, "got an empty list for 'on', expected a function, a list of them, or '*' for all"],
  [{ hang: true }, "got no 'on' for hang, expected a function, a list of them, or '*' for all"],
  [{ on: 'C_Sign' }, 'got no effect, expected one of fail, delayMs, hang'],
  [{ ...fail, hang: true }, 'got two effects, fail and hang, expected one: make a rule of each'],
  [
    { on: 'C_Sign', fail: 'CKR_DEVICE_EROR' },
    'got fail "CKR_DEVICE_EROR", expected a CKR_ name or number; did you mean CKR_DEVICE_ERROR?',
  ],
  [{ on: 'C_Sign', fail: 'CKR_OK' }, 'got fail CKR_OK, which is no failure: it would falsify results'],
  [{ on: 'C_Sign', fail: 0 }, 'got fail CKR_OK, which is no failure: it would falsify results'],
  [{ on: 'C_Sign', throttle: { perSecond: 1, rv: 0 } }, 'got throttle.rv CKR_OK, which is no failure'],
  [{ ...fail, nth: 0 }, 'got nth 0, expected a whole number of 1 or more'],
  [{ ...fail, every: 1.5 }, 'got every 1.5, expected a whole number of 1 or more'],
  [{ ...fail, probability: 1.1 }, 'got probability 1.1, expected a number from 0 to 1'],
  [{ ...fail, phase: 'later' }, 'got phase "later", expected one of before, after'],
  [{ on: 'C_Sign', delayMs: [7, 5] }, 'got delayMs 5, expected a number from 7 to 2147483647'],
  [{ on: 'C_Sign', delayMs: [1, 2, 3] }, 'got delayMs [1,2,3], expected a number or two'],
  [{ on: 'C_Sign', delayMs: -1 }, 'got delayMs -1, expected a number from 0 to 2147483647'],
  [{ on: 'C_Sign', crash: true }, 'got crash true, expected one of abort, kill'],
  [{ on: 'C_Sign', hang: 1 }, 'got hang 1, expected true'],
  [{ on: 'C_Sign', throttle: { perSec: 1 } }, "got 'throttle.perSec', which is none"],
  [{ tokenInfo: { set: ['CKF_NONE'] } }, 'got tokenInfo.set "CKF_NONE", expected one of CKF_LOGIN_REQUIRED'],
])('%j is refused', (rule, message) => {
  expect(() => formatRule(rule as Rule)).toThrow(expect.objectContaining({ code: 'INVALID_RULE' }))
  expect(() => formatRule(rule as Rule)).toThrow(message)
})

test('functions and return values have each name and each value once', () => {
  expect(new Set(FUNCTION_NAMES).size).toBe(92)
  expect(new Set(Object.values(RETURN_VALUES)).size).toBe(Object.keys(RETURN_VALUES).length)
})
