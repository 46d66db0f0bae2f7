import { useSoftHsmToken } from 'testkit/vitest'
import { expect, test } from 'vitest'
import { createClient } from '../../src/index.js'
import { rejection } from '../support/rejection.js'

const token = useSoftHsmToken({
  keys: [
    { label: 'aes', id: 1 },
    { label: 'ec', id: 2, type: 'ec-p256' },
    { label: 'rsa', id: 3, type: 'rsa-2048' },
  ],
})

test('PSS with a key that is no RSA key, which SoftHSM would crash on, is refused', async () => {
  const client = await createClient({
    module: token.module,
    token: { label: token.label },
    pin: { file: token.pinFile },
  })
  const data = Buffer.alloc(32)
  const pss = { mechanism: 'CKM_RSA_PKCS_PSS', hashAlg: 'CKM_SHA256' } as const
  for (const mechanism of [pss, 'CKM_SHA256_RSA_PKCS_PSS'] as const) {
    for (const label of ['aes', 'ec']) {
      const refused = { rvName: 'CKR_KEY_TYPE_INCONSISTENT' }
      expect(await rejection(client.sign({ label }, mechanism, data))).toMatchObject({ ...refused, fn: 'C_SignInit' })
      const verified = client.verify({ label }, mechanism, data, data)
      expect(await rejection(verified)).toMatchObject({ ...refused, fn: 'C_VerifyInit' })
    }
    const signature = await client.sign({ label: 'rsa' }, mechanism, data)
    expect(await client.verify({ label: 'rsa' }, mechanism, data, signature)).toBe(true)
  }
  await client.close()
})
