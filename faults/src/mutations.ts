import type { Invariant } from './violation.js'

/** One defect put into the library on purpose: a text of one of its files, and what stands there instead. */
export interface Mutation {
  name: string
  /** inside the library's package */
  file: string
  before: string
  after: string
  /** native code, which takes longer to build */
  native?: true
  /** the cells that are run: names, or parts of them */
  cells: readonly string[]
  /** one of these has to be found broken */
  notices: readonly Invariant[]
}

/** Each breaks one promise of the library. A text that is not there any more, or more than once, fails the run: the list is kept true. */
export const MUTATIONS: readonly Mutation[] = [
  {
    name: 'a PIN that was rejected is sent again',
    file: 'src/session/credentials.ts',
    before: 'this.#rejection = cryptokiError(rv, fn)',
    after: 'void cryptokiError(rv, fn)',
    cells: ['C_Login:credentials:first-use', 'C_Login:credentials:busy'],
    notices: ['login', 'misuse'],
  },
  {
    name: 'a session that is replaced is not closed',
    file: 'src/client-core.ts',
    before: 'destroy: ({ session }) => token.closeSession(session),',
    after: 'destroy: () => undefined,',
    cells: ['C_Encrypt:token:busy', 'C_Sign:session:first-use'],
    notices: ['sessions'],
  },
  {
    name: 'a login that was answered late counts as unanswered for ever',
    file: 'src/session/credentials.ts',
    before: 'this.#unanswered -= 1',
    after: '',
    cells: ['C_Login:late:first-use', 'C_Login:late:busy'],
    notices: ['service'],
  },
  {
    name: 'a search is believed though nobody was logged in',
    file: 'src/session/login.ts',
    before: 'if (isLost || before !== this.#succeeded)',
    after: 'void [isLost, before]\n    if (this.#succeeded < 0)',
    cells: ['C_OpenSession:dropped:first-use', 'C_GetSessionInfo:dropped:at-max'],
    notices: ['answers'],
  },
  {
    name: 'a call that is given up inside the module is never heard of again',
    file: 'src/pkcs11/engine.ts',
    before: 'if (rv === Outcome.ABANDONED) this.#abandon(job)',
    after: 'if (rv === Outcome.ABANDONED) return this.#abandon(job)',
    cells: ['C_Encrypt:never:first-use', 'C_Sign:late:first-use'],
    notices: ['settled', 'process'],
  },
  {
    name: 'a breaker that is open makes no try',
    file: 'src/resilience/breaker.ts',
    before: 'if (!this.#stopped) this.#timer = this.#clock.setTimeout(() => void this.#try(), wait.duration)',
    after: '',
    cells: ['C_Encrypt:gone:busy', 'C_EncryptInit:token:first-use'],
    notices: ['service'],
  },
  {
    name: 'a lost wake-up: a session that was validated for a caller is not handed to it',
    file: 'src/pool/core.ts',
    before: 'else if (!this.handOver(entry, now)) {',
    after: 'else {',
    cells: ['C_Encrypt:caller:at-max', 'C_Encrypt:closed:first-use'],
    notices: ['service'],
  },
  {
    name: 'the lock of the engine is held while a call is in the module',
    file: 'native/worker.cc',
    before:
      '    lock.unlock();\n    wake(woken);\n    std::optional<WaitingProbe> probe;\n    if (sampled) probe.emplace();\n    run(*job, worker.module.get());',
    after:
      '    wake(woken);\n    std::optional<WaitingProbe> probe;\n    if (sampled) probe.emplace();\n    run(*job, worker.module.get());\n    lock.unlock();',
    native: true,
    cells: ['C_Encrypt:late:busy', 'C_Sign:late:first-use'],
    notices: ['loop', 'process', 'settled'],
  },
]
