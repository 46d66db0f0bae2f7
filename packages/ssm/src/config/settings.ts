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
    help: 'where to listen, loopback only (default 127.0.0.1:8080); --listen is the same',
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
