export { createChaos } from './chaos.js'
export type { Chaos, ChaosOptions } from './chaos.js'
export { controlChaos } from './control.js'
export type { AtSlot, ChaosControl, ChaosRules } from './control.js'
export type {
  Counters,
  FunctionCounters,
  LoginCounters,
  Misuse,
  MisuseKind,
  ProcessCounters,
  RuleCounters,
  SessionCounters,
  Tally,
} from './counters.js'
export { ChaosError } from './errors.js'
export type { ChaosErrorCode } from './errors.js'
export { FUNCTION_NAMES } from './function-names.js'
export type { FunctionName } from './function-names.js'
export { chaosModule } from './module-file.js'
export { RETURN_VALUES } from './return-values.js'
export type { ReturnValue } from './return-values.js'
export { TOKEN_FLAGS } from './rule.js'
export type { Action, Rule, RuleCalls, RuleEffects, TokenFlag } from './rule.js'
export type { RuleId, StoredRule } from './rule-store.js'
