// A process of its own: the service without authentication, so that what is measured is the way to the token.
import { loadConfig, startServer } from 'pkcs11-ssm'

const server = await startServer(loadConfig(process.env, new Map()), { authentication: 'none' })
process.once('SIGTERM', () => void server.close())
