/** One setting: how it is named in the environment and as a flag, and what to say about it. In a file it has its key in {@link SETTINGS}. */
export interface Setting {
  env: string
  /** without the leading `--`; null where the setting must not appear on a command line */
  flag: string | null
  /** another flag of the same meaning */
  alias?: string
  /** what stands for the value in the help; null for a switch */
  placeholder: string | null
  /** the value is a path: in a file it is meant from the file's folder */
  path?: true
  /** a value for the example file, as YAML */
  example?: string
  /** the value is a list, by environment and flag with commas between; or a map, there as JSON */
  form?: 'list' | 'map'
  help: string
}

/** Every setting there is: files, environment, flags and help are all read from here. */
export const SETTINGS = {
  data: {
    env: 'SSM_DATA',
    flag: 'data',
    placeholder: 'DIR',
    path: true,
    example: '/var/lib/ssm',
    help: 'the data folder that ssm init made: accounts, audit, and the token where it is SoftHSM (required)',
  },
  config: {
    env: 'SSM_CONFIG',
    flag: 'config',
    placeholder: 'FILE',
    path: true,
    help: 'a YAML file with settings',
  },
  database: {
    env: 'SSM_DATABASE',
    flag: 'database',
    placeholder: 'URL',
    example: 'postgres://ssm@127.0.0.1/ssm',
    help: 'a PostgreSQL database for accounts and audit, postgres://USER@HOST/NAME (default SQLite in the data folder)',
  },
  drainDelayMs: {
    env: 'SSM_DRAIN_DELAY_MS',
    flag: 'drain-delay-ms',
    placeholder: 'MS',
    example: '2000',
    help: 'at SIGTERM, how long to serve on while /readyz already says no (default 2000)',
  },
  drainTimeoutMs: {
    env: 'SSM_DRAIN_TIMEOUT_MS',
    flag: 'drain-timeout-ms',
    placeholder: 'MS',
    example: '10000',
    help: 'how long requests under way may take to end when the service stops (default 10000)',
  },
  pkcsPath: {
    env: 'SSM_PKCS_PATH',
    flag: 'pkcs-path',
    placeholder: 'FILE',
    path: true,
    example: '/usr/lib/softhsm/libsofthsm2.so',
    help: "the token's PKCS#11 library",
  },
  tokenLabel: {
    env: 'SSM_TOKEN_LABEL',
    flag: 'token-label',
    placeholder: 'LABEL',
    example: 'ssm',
    help: 'selects the token by label',
  },
  tokenSerial: {
    env: 'SSM_TOKEN_SERIAL',
    flag: 'token-serial',
    placeholder: 'SERIAL',
    example: 'c0ffee0123456789',
    help: 'selects the token by serial number',
  },
  lotsNumber: {
    env: 'SSM_LOTS_NUMBER',
    flag: 'lots-number',
    placeholder: 'N',
    example: '0',
    help: "selects the token by its slot's id (slots shift: prefer label or serial)",
  },
  pinFile: {
    env: 'SSM_PIN_FILE',
    flag: 'pin-file',
    placeholder: 'FILE',
    path: true,
    example: '/var/lib/ssm/pin',
    help: 'a file with the PIN, not readable by everybody',
  },
  pin: {
    env: 'SSM_PIN',
    flag: null,
    placeholder: null,
    help: 'the PIN itself, never on the command line',
  },
  bindAddr: {
    env: 'SSM_BIND_ADDR',
    flag: 'bind-addr',
    alias: 'listen',
    placeholder: 'HOST:PORT',
    example: '127.0.0.1:8080',
    help: 'where to listen (default 127.0.0.1:8080), or unix: and a path; without TLS on loopback only; --listen is the same',
  },
  isHttps: {
    env: 'SSM_IS_HTTPS',
    flag: 'is-https',
    placeholder: null,
    example: 'false',
    help: 'TLS 1.3, with certFile and keyFile (default false)',
  },
  certFile: {
    env: 'SSM_CERT_FILE',
    flag: 'cert-file',
    placeholder: 'FILE',
    path: true,
    example: '/etc/ssm/tls.crt',
    help: 'the certificate in PEM, with those between it and its root; read anew when it changes, and on SIGHUP',
  },
  keyFile: {
    env: 'SSM_KEY_FILE',
    flag: 'key-file',
    placeholder: 'FILE',
    path: true,
    example: '/etc/ssm/tls.key',
    help: "the certificate's private key in PEM, not readable by everybody",
  },
  caFile: {
    env: 'SSM_CA_FILE',
    flag: 'ca-file',
    placeholder: 'FILE',
    path: true,
    example: '/etc/ssm/clients-ca.crt',
    help: 'roots in PEM, of which every client must present a certificate (mTLS)',
  },
  certificateAccounts: {
    env: 'SSM_CERTIFICATE_ACCOUNTS',
    flag: null,
    placeholder: null,
    form: 'map',
    example: '{}',
    help: 'which account a certificate stands for, by its subject, such as CN=udm,O=Core: udm; as JSON where it is no file',
  },
  sendSecretsUnencrypted: {
    env: 'SSM_SEND_SECRETS_UNENCRYPTED',
    flag: 'send-secrets-unencrypted',
    placeholder: null,
    example: 'false',
    help: 'plain HTTP on other addresses than loopback: passwords, tokens and keys travel in the clear (default false)',
  },
  headersTimeoutMs: {
    env: 'SSM_HEADERS_TIMEOUT_MS',
    flag: 'headers-timeout-ms',
    placeholder: 'MS',
    example: '10000',
    help: "how long a request's headers may take to arrive (default 10000)",
  },
  requestTimeoutMs: {
    env: 'SSM_REQUEST_TIMEOUT_MS',
    flag: 'request-timeout-ms',
    placeholder: 'MS',
    example: '30000',
    help: 'how long a whole request may take to arrive (default 30000)',
  },
  bodyLimitBytes: {
    env: 'SSM_BODY_LIMIT_BYTES',
    flag: 'body-limit-bytes',
    placeholder: 'N',
    example: '1048576',
    help: "how large a request's body may be (default 1048576)",
  },
  maxRequestsWaiting: {
    env: 'SSM_MAX_REQUESTS_WAITING',
    flag: 'max-requests-waiting',
    placeholder: 'N',
    example: '10000',
    help: 'requests under way at once; more are answered 503 (default 10000)',
  },
  'rateLimit.enabled': {
    env: 'SSM_RATE_LIMIT_ENABLED',
    flag: 'rate-limit-enabled',
    placeholder: 'true|false',
    example: 'true',
    help: 'whether requests are limited by account, and without one by address (default true)',
  },
  'rateLimit.requestsPerMin': {
    env: 'SSM_RATE_LIMIT_REQUESTS_PER_MIN',
    flag: 'rate-limit-requests-per-min',
    placeholder: 'N',
    example: '300000',
    help: 'how many requests a minute each may make in the long run (default 300000)',
  },
  'rateLimit.burstSize': {
    env: 'SSM_RATE_LIMIT_BURST_SIZE',
    flag: 'rate-limit-burst-size',
    placeholder: 'N',
    example: '50000',
    help: 'how many requests each may make at once (default 50000)',
  },
  'cors.enabled': {
    env: 'SSM_CORS_ENABLED',
    flag: 'cors-enabled',
    placeholder: 'true|false',
    example: 'true',
    help: 'false lets no page in, whatever origins are named (default true)',
  },
  'cors.allowOrigins': {
    env: 'SSM_CORS_ALLOW_ORIGINS',
    flag: 'cors-allow-origins',
    placeholder: 'ORIGIN,...',
    form: 'list',
    example: '[https://console.example]',
    help: 'origins whose pages may use the service from a browser, letter by letter (default none)',
  },
  'cors.allowAllOrigins': {
    env: 'SSM_CORS_ALLOW_ALL_ORIGINS',
    flag: null,
    placeholder: null,
    example: 'false',
    help: 'refused unless false: every origin is to be named',
  },
  exposeSwaggerUi: {
    env: 'SSM_EXPOSE_SWAGGER_UI',
    flag: 'expose-swagger-ui',
    placeholder: 'true|false',
    example: 'true',
    help: 'whether /docs is a page on which to read and try the routes (default true)',
  },
  maxSessions: {
    env: 'SSM_MAX_SESSIONS',
    flag: 'max-sessions',
    placeholder: 'N',
    example: '10',
    help: 'sessions to open at most (default 10)',
  },
  minSessions: {
    env: 'SSM_MIN_SESSIONS',
    flag: 'min-sessions',
    placeholder: 'N',
    example: '2',
    help: 'sessions to keep open (default 2, or 0 with lazy)',
  },
  legacyAlgorithms: {
    env: 'SSM_LEGACY_ALGORITHMS',
    flag: 'legacy-algorithms',
    placeholder: null,
    example: 'false',
    help: 'allows encrypting with DES and DES3, and decrypting without padding (default false)',
  },
  connect: {
    env: 'SSM_CONNECT',
    flag: 'connect',
    placeholder: 'eager|lazy',
    example: 'eager',
    help: 'when to open the token: at start, or when first used (default eager)',
  },
  auditFailClosed: {
    env: 'SSM_AUDIT_FAIL_CLOSED',
    flag: 'audit-fail-closed',
    placeholder: 'changes|all',
    example: 'changes',
    help: 'what is refused while the audit cannot be written: what changes keys, or everything (default changes)',
  },
  auditStream: {
    env: 'SSM_AUDIT_STREAM',
    flag: 'audit-stream',
    placeholder: 'URL',
    example: 'syslog+tcp://127.0.0.1:6514',
    help: 'where a copy of the audit goes: syslog+tcp://HOST:PORT, syslog+udp://…, syslog+unix:///PATH, jsonl+tcp://…, jsonl+unix:///PATH',
  },
  instance: {
    env: 'SSM_INSTANCE',
    flag: 'instance',
    placeholder: 'NAME',
    example: 'main',
    help: 'the name of the audit chain that this process writes, its own (default from the data folder)',
  },
  keyCache: {
    env: 'SSM_KEY_CACHE',
    flag: 'key-cache',
    placeholder: 'on|off',
    example: 'on',
    help: 'off looks every key up again in each request: for measuring (default on)',
  },
} as const satisfies Record<string, Setting>

export type SettingName = keyof typeof SETTINGS
