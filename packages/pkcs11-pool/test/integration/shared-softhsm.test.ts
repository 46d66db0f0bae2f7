import { useSoftHsmToken } from 'testkit/vitest'
import { expect, test } from 'vitest'
import { OPERATIONS, shareToken } from '../support/shared-token.js'

const token = useSoftHsmToken()

test('two processes and pkcs11-tool share a token, and no answer is wrong', async () => {
  const reports = await shareToken(token, Number(process.env.SHARING_ROUNDS ?? 3))
  for (const report of reports) {
    expect(report).toMatchObject({ wrong: [], unexpected: [], abandoned: 0 })
    expect(Object.keys(report.right).sort()).toEqual(OPERATIONS)
  }
}, 600_000)
