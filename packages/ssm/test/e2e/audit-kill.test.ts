import { createSoftHsmToken } from 'testkit'
import { afterAll, expect, it } from 'vitest'
import { initialise, logIn, runSsm, serviceEnv, urlIn } from './process.js'

/** `npm run test:kill` makes it a hundred. */
const ROUNDS = Number(process.env.KILL_ROUNDS ?? 3)
const token = createSoftHsmToken({ keys: [{ label: 'KEY_ENCRYPTION_AES256' }] })
afterAll(() => token.remove())
const service = initialise(token)
const env = serviceEnv(token, service)

interface Entry {
  action: string
  key_id: number | null
  status: number
  count: number | null
}

it(
  'a service killed under load leaves an audit that verifies, with each key change that was answered, and the next run tells what it left unsigned',
  async () => {
    const made: number[] = []
    const unsigned: number[] = []
    for (let round = 1; round <= ROUNDS; round++) {
      const ssm = runSsm(['serve'], env)
      const url = urlIn(await ssm.firstLine)
      const headers = await logIn(url, 'webconsole', service.passwords.webconsole)
      const post = (path: string, body: object) =>
        fetch(url + path, { method: 'POST', headers, body: JSON.stringify(body) })
      const load = { stopped: false }
      const workers = Array.from({ length: 8 }, async () => {
        const body = { key_label: 'KEY_ENCRYPTION_AES256', plain: 'c0ffee', encryption_algorithm: 5 }
        while (!load.stopped)
          await post('/crypto/encrypt', body).then(
            (answer) => answer.arrayBuffer(),
            () => (load.stopped = true),
          )
      })
      for (let key = 0; key < 3; key++) {
        const id = round * 1_000 + key
        const answer = await post('/crypto/generate-aes-key', { id, bits: 256 })
        expect(answer.status).toBe(201)
        made.push(id)
      }
      ssm.process.kill('SIGKILL')
      expect(await ssm.ended).toMatchObject({ signal: 'SIGKILL' })
      load.stopped = true
      await Promise.all(workers)

      const verified = await runSsm(['audit', 'verify'], env).ended
      expect([verified.code, verified.stderr]).toEqual([0, ''])
      unsigned.push(Number(/; the (\d+) after it are not signed yet/.exec(verified.stdout)?.[1] ?? 0))
    }
    const { stdout } = await runSsm(['audit', 'export'], env).ended
    const entries = stdout
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as { entry: Entry }).entry)
    const changes = entries.filter(({ action, status }) => action === 'GENERATE_AES_KEY' && status === 201)
    expect(changes.map(({ key_id }) => key_id)).toEqual(made)
    const starts = entries.filter(({ action }) => action === 'SERVICE_START')
    expect(starts).toHaveLength(ROUNDS)
    // each start after the first tells what the killed run left unsigned
    expect(starts.slice(1).map(({ count }) => count)).toEqual(unsigned.slice(0, -1))
  },
  30_000 + ROUNDS * 15_000,
)
