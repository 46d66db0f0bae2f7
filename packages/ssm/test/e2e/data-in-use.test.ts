import { createSoftHsmToken } from 'testkit'
import { usePostgres } from 'testkit/vitest'
import { afterAll, describe, expect, it } from 'vitest'
import { initialise, logIn, runSsm, serviceEnv, urlIn } from './process.js'

const token = createSoftHsmToken({ keys: [{ label: 'KEY_ENCRYPTION_AES256' }] })
afterAll(() => token.remove())
const postgres = await usePostgres()
const databases: Record<string, Record<string, string>> = { SQLite: {} }
if (postgres !== undefined) databases.PostgreSQL = { SSM_DATABASE: postgres.createDatabase() }

describe.each(Object.keys(databases))('a data folder that is served, with %s', (name) => {
  const database = databases[name]!
  const service = initialise(token, name, database)
  const env = { ...serviceEnv(token, service), ...database }

  it('is served by one process at a time, whatever it calls itself, until that has ended, also by SIGKILL', async () => {
    const first = runSsm(['serve'], env)
    const url = urlIn(await first.firstLine)
    const headers = await logIn(url, 'webconsole', service.passwords.webconsole)
    for (const more of [{}, { SSM_INSTANCE: 'other' }]) {
      const second = await runSsm(['serve'], { ...env, ...more }).ended
      expect([second.code, second.stdout]).toEqual([1, ''])
      expect(second.stderr).toBe(
        `ssm: the data folder ${service.data} is served already, by process ${first.process.pid}: ` +
          'stop that one, or give each a folder of its own (ssm init) (DATA_IN_USE)\n',
      )
    }
    const body = JSON.stringify({ id: 0, bits: 128 })
    expect((await fetch(`${url}/crypto/generate-aes-key`, { method: 'POST', headers, body })).status).toBe(201)
    // commands work beside it
    for (const command of [
      ['account', 'add', 'udm-2', '--role', 'udm'],
      ['account', 'list'],
      ['audit', 'export'],
    ])
      expect(await runSsm(command, env).ended).toMatchObject({ code: 0, stderr: '' })
    first.process.kill('SIGKILL')
    await first.ended

    const next = runSsm(['serve'], env)
    await next.firstLine
    next.process.kill('SIGTERM')
    expect(await next.ended).toMatchObject({ code: 0, stderr: '' })
  })
})
