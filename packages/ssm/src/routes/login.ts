import type { Authentication } from '../auth/authentication.js'
import { addressOf } from '../limits/address.js'
import { loginAnswer, loginRequest } from '../schemas/login.js'
import type { App } from './routes.js'

/** The largest name and password there may be, each character escaped. It is taken in before anybody is known. */
const BODY_LIMIT_BYTES = 16 * 1024

/** `POST /login`: a token for an account's name and password. `GET /.well-known/jwks.json`: the keys it verifies with (RFC 7517). */
export function loginRoutes(app: App, authentication: Authentication): void {
  app.post(
    '/login',
    {
      schema: { body: loginRequest, response: { 200: loginAnswer } },
      config: { action: 'USER_LOGIN' },
      bodyLimit: Math.min(BODY_LIMIT_BYTES, app.initialConfig.bodyLimit ?? BODY_LIMIT_BYTES),
    },
    async (request) => {
      const { service_id: serviceId, password } = request.body
      const { token, account } = await authentication.login(serviceId, password, addressOf(request))
      request.account = account
      return { token, message: 'Login successful' }
    },
  )
  app.get('/.well-known/jwks.json', { config: { action: 'OPEN' } }, async () => ({
    keys: await authentication.publicKeys(),
  }))
}
