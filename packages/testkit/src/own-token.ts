import { askWorker } from './ask-worker.js'
import { type TestToken, TokenUnavailable } from './test-token.js'

/**
 * A token that is there already: `TEST_TOKEN_MODULE`, `TEST_TOKEN_LABEL` and `TEST_TOKEN_PIN` say which, and `TEST_TOKEN_INITIALIZE_ARGS`
 * what its C_Initialize wants to be told. It is left as it is.
 *
 * @throws TokenUnavailable
 */
export function ownToken(): TestToken {
  const {
    TEST_TOKEN_MODULE: module,
    TEST_TOKEN_LABEL: label,
    TEST_TOKEN_PIN: pin,
    TEST_TOKEN_INITIALIZE_ARGS: initializeArgs,
  } = process.env
  if (module === undefined || label === undefined || pin === undefined) {
    throw new TokenUnavailable('no token of your own: set TEST_TOKEN_MODULE, TEST_TOKEN_LABEL and TEST_TOKEN_PIN')
  }
  const token = { module, env: {}, initializeArgs, token: { label } }
  return {
    name: `${module}, ${label}`,
    module,
    initializeArgs,
    label,
    slot: askWorker(token, {}).slot,
    pin,
    env: {},
    server: undefined,
    version: () => undefined,
    createKeys: (keys) => void askWorker(token, { pin, keys }),
    objects: () => askWorker(token, { pin, list: true }).objects,
    remove: () => undefined,
  }
}
