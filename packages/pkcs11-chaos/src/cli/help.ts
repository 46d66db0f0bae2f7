/** The text of `pkcs11-chaos --help`. */
export const HELP = `pkcs11-chaos: stands before a PKCS#11 module and makes it misbehave on demand, for programs in any language.

  pkcs11-chaos run --module M [--rule 'RULE']... -- COMMAND...
                            runs a program over the proxy; {} in COMMAND is the path of the module to load instead of M
  pkcs11-chaos path         the path of that module, for a program that is set up by hand (see "By hand")

While programs run, in another terminal:
  pkcs11-chaos rule add RULE...      add a rule; prints its id
  pkcs11-chaos rule list             the rules that hold
  pkcs11-chaos rule remove ID        take one back; calls that it holds go on
  pkcs11-chaos rule clear            take all back
  pkcs11-chaos release [ID]          let calls that hang go on; the rule stays
  pkcs11-chaos act ACTION            once: dropSessions, logOut, loseInitialization, removeToken or insertToken
  pkcs11-chaos stats                 calls, logins, sessions
  pkcs11-chaos misuse                what programs do that PKCS#11 forbids
  pkcs11-chaos reset                 count from 0 again

A RULE is functions (C_Sign,C_Verify, or all), one effect, and any conditions:
  fail=CKR_DEVICE_ERROR     answered so, by name or number; with phase=after the real call is made first (the lost answer)
  delayMs=50  delayMs=5-50  held so long, or for a random time
  hang                      held until released
  crash=abort|kill          the process ends
  act=ACTION                causes an action, see above
  throttle=10               more than 10 a second fail [burst=N rv=CKR_FUNCTION_FAILED]
  sessionLimit=4            C_OpenSession beyond 4 open sessions fails with CKR_SESSION_COUNT
  setFlags=CKF_USER_PIN_LOCKED   C_GetTokenInfo says so [clearFlags=CKF_... maxSessions=N]
  removeToken               the token is gone while the rule holds
conditions:
  nth=3  every=10  times=2  probability=0.1 seed=7  slot=ID  from=C_Login until=C_Logout  phase=after

Options:
  --control DIR             the control directory; else PKCS11_CHAOS_CONTROL; for run, else a temporary one
  --slot ID                 act: at this slot only
  --rule 'RULE'             run: a rule from the start, in one argument; may be given more than once
  --fail-on-misuse          run: exit status 3 when the program used PKCS#11 wrongly
  --quiet                   run: no summary on standard error
  --json                    answers (for run: the summary) as JSON
  --help, --version

By hand: load what "pkcs11-chaos path" prints as the PKCS#11 module, with PKCS11_CHAOS_MODULE (the real one) and PKCS11_CHAOS_CONTROL (a
directory of your own, mode 0700) in the program's environment.

Exit status: 0 done; 1 a process did not answer or refused; 2 wrong usage; run: the command's own, 128 and the number of the signal that
ended it, 3 see --fail-on-misuse, 127 the command could not be started.

Examples:
  pkcs11-chaos run --module /usr/lib/softhsm/libsofthsm2.so --rule 'C_Sign fail=CKR_DEVICE_ERROR nth=2' -- ./my-tests {}
  pkcs11-chaos rule add all delayMs=5-50 probability=0.2
`
