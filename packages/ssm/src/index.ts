/**
 * SSM, the Simple Secret Manager: an HTTP service through which many clients use keys that never leave an HSM.
 *
 * @packageDocumentation
 */
export { type AppOptions, buildApp } from './app.js'
export type { Authentication } from './auth/authentication.js'
export { loadConfig, type PinSource, type SsmConfig, type SsmDefaults, type TokenSelector } from './config/config.js'
export { ConfigError } from './config/config-error.js'
export { Problem, type ProblemBody, type ProblemCode } from './problems/problem.js'
export type { App } from './routes/routes.js'
export { type ServerConfig, type ServerOptions, type SsmServer, startServer } from './server.js'
