import { once } from 'node:events'
import { Agent, type IncomingMessage, request } from 'node:http'
import { connect } from 'node:net'
import { createSoftHsmToken, createWrappedModule } from 'testkit'
import { afterAll, describe, expect, it, onTestFinished } from 'vitest'
import { initialise, logIn, runSsm, serviceEnv, urlIn } from './process.js'

const token = createSoftHsmToken({ keys: [{ label: 'KEY_ENCRYPTION_AES256' }] })
afterAll(() => token.remove())
const service = initialise(token)

async function startHanging() {
  const wrapped = createWrappedModule(token)
  onTestFinished(() => wrapped.remove())
  const ssm = runSsm(['serve'], { ...serviceEnv(token, service), SSM_PKCS_PATH: wrapped.module })
  const url = urlIn(await ssm.firstLine)
  const headers = await logIn(url, 'webconsole', service.passwords.webconsole)
  wrapped.hang('C_Encrypt')
  const agent = new Agent({ keepAlive: true })
  onTestFinished(() => agent.destroy())
  const outgoing = request(`${url}/crypto/encrypt`, {
    method: 'POST',
    agent,
    headers,
  })
  outgoing.end(JSON.stringify({ key_label: 'KEY_ENCRYPTION_AES256', plain: 'c0ffee', encryption_algorithm: 5 }))
  const answer = once(outgoing, 'response').then(([response]) => response as IncomingMessage)
  answer.catch(() => undefined)
  await until(() => wrapped.hanging() === 1)
  return { wrapped, ssm, url, answer }
}

/** Looks again with each turn of the loop until something is so; the test's own time limit is the limit. */
async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isSo())) await new Promise((resolve) => setImmediate(resolve))
}

async function refused(url: string): Promise<boolean> {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  const outcome = await Promise.race([
    once(socket, 'connect').then(() => false),
    once(socket, 'error').then(() => true),
  ]).catch(() => true)
  socket.destroy()
  return outcome
}

describe('a signal to a service at work', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)(
    '%s lets it answer what is under way, take nothing new, and end with 0',
    async (signal) => {
      const { wrapped, ssm, url, answer } = await startHanging()
      ssm.process.kill(signal)
      await until(() => refused(url))
      wrapped.release()
      const response = await answer
      expect(response.statusCode).toBe(201)
      // a connection kept alive would hold up the end until the client lets go
      expect(response.headers.connection).toBe('close')
      response.resume()
      expect(await ssm.ended).toMatchObject({ code: 0, signal: null, stderr: '' })
      expect(wrapped.openSessions()).toBe(0)
    },
  )

  it.each([
    ['SIGTERM', 143],
    ['SIGINT', 130],
  ] as const)('a second %s ends it at once with %d', async (signal, status) => {
    const { ssm, url } = await startHanging()
    ssm.process.kill(signal)
    await until(() => refused(url))
    ssm.process.kill(signal)
    expect(await ssm.ended).toMatchObject({ code: status, signal: null })
  })
})

describe('a service on the network', () => {
  it('answers bytes that are no request with a problem', async () => {
    const ssm = runSsm(['serve'], serviceEnv(token, service))
    const { port, hostname } = new URL(urlIn(await ssm.firstLine))
    const socket = connect(Number(port), hostname)
    socket.end('what is this\r\n\r\n')
    let text = ''
    for await (const chunk of socket) text += String(chunk)
    expect(text).toMatch(/^HTTP\/1\.1 400 Bad Request\r\ncontent-type: application\/problem\+json\r\n/)
    expect(JSON.parse(text.slice(text.indexOf('\r\n\r\n')))).toMatchObject({ status: 400, error: 'VALIDATION_FAILED' })
  })

  it('refuses a request that names another host', async () => {
    const ssm = runSsm(['serve'], serviceEnv(token, service))
    const url = urlIn(await ssm.firstLine)
    const outgoing = request(`${url}/pool/stats`, { headers: { host: 'evil.example' } }).end()
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
    response.resume()
    expect(response.statusCode).toBe(403)
  })
})
