import { readFileSync } from 'node:fs'
import pkcs11js from 'pkcs11js'
import { INPUTS, IV, type Task } from '../crypto/operations.js'
import { type Perform, serveContender } from './crypto-child.js'

/** As pkcs11js is used: a session for each caller, the key's handle found once, Init and then the one-shot call. */
const p11 = new pkcs11js.PKCS11()
const asynchronous = process.argv[2] === 'async'
const sessions: pkcs11js.Handle[] = []

serveContender({
  open: async ({ place, callers }) => {
    p11.load(place.module)
    p11.C_Initialize({ flags: pkcs11js.CKF_OS_LOCKING_OK })
    const slot = p11.C_GetSlotList(true).find((handle) => p11.C_GetTokenInfo(handle).label.trim() === place.label)
    if (slot === undefined) throw new Error(`no token is labelled ${place.label}`)
    for (let caller = 0; caller < callers; caller++) {
      const session = p11.C_OpenSession(slot, pkcs11js.CKF_SERIAL_SESSION)
      if (caller === 0) p11.C_Login(session, pkcs11js.CKU_USER, readFileSync(place.pinFile, 'utf8').trim())
      sessions.push(session)
    }
  },
  prepare: async (task) => {
    const keys = task.keys.map((label) => findKey(task, label))
    return task.operation === 'aes' ? encryption(keys) : signature(task, keys)
  },
})

function findKey(task: Task, label: string): pkcs11js.Handle {
  const session = sessionOf(0)
  p11.C_FindObjectsInit(session, [
    { type: pkcs11js.CKA_CLASS, value: task.operation === 'aes' ? pkcs11js.CKO_SECRET_KEY : pkcs11js.CKO_PRIVATE_KEY },
    { type: pkcs11js.CKA_LABEL, value: label },
  ])
  const key = p11.C_FindObjects(session)
  p11.C_FindObjectsFinal(session)
  if (key === null) throw new Error(`no key is labelled ${label}`)
  return key
}

function encryption(keys: pkcs11js.Handle[]): Perform {
  const mechanism = { mechanism: pkcs11js.CKM_AES_CBC_PAD, parameter: IV }
  return (caller, key) => {
    const session = sessionOf(caller)
    p11.C_EncryptInit(session, mechanism, keys[key] as pkcs11js.Handle)
    const output = Buffer.allocUnsafe(32)
    return asynchronous ? p11.C_EncryptAsync(session, INPUTS.aes, output) : p11.C_Encrypt(session, INPUTS.aes, output)
  }
}

function signature(task: Task, keys: pkcs11js.Handle[]): Perform {
  const elliptic = task.operation === 'ecdsa'
  const mechanism = { mechanism: elliptic ? pkcs11js.CKM_ECDSA : pkcs11js.CKM_SHA256_RSA_PKCS }
  const input = INPUTS[task.operation]
  return (caller, key) => {
    const session = sessionOf(caller)
    p11.C_SignInit(session, mechanism, keys[key] as pkcs11js.Handle)
    const output = Buffer.allocUnsafe(elliptic ? 64 : 256)
    return asynchronous ? p11.C_SignAsync(session, input, output) : p11.C_Sign(session, input, output)
  }
}

function sessionOf(caller: number): pkcs11js.Handle {
  const session = sessions[caller]
  if (session === undefined) throw new Error(`caller ${caller} has no session`)
  return session
}
