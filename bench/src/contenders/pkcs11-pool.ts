import { type Client, createClient } from 'pkcs11-pool'
import { INPUTS, IV } from '../crypto/operations.js'
import { serveContender } from './crypto-child.js'

/** The library's short way: the client acquires a session, resolves the key by its label, runs the operation and releases. */
let client: Client

serveContender({
  open: async ({ place, callers }) => {
    client = await createClient({
      module: place.module,
      token: { label: place.label },
      pin: { file: place.pinFile },
      pool: { maxSize: callers },
    })
  },
  prepare: async ({ operation, keys }) => {
    if (operation === 'aes') {
      const references = keys.map((label) => ({ label }))
      const mechanism = { mechanism: 'CKM_AES_CBC_PAD', iv: IV } as const
      return (_caller, key) => client.encrypt(references[key] ?? {}, mechanism, INPUTS.aes)
    }
    const references = keys.map((label) => ({ label, class: 'CKO_PRIVATE_KEY' }) as const)
    const mechanism = operation === 'ecdsa' ? 'CKM_ECDSA' : 'CKM_SHA256_RSA_PKCS'
    return (_caller, key) => client.sign(references[key] ?? {}, mechanism, INPUTS[operation])
  },
})
