import type { CipherStep } from '../hsm/hsm.js'

/** An operation whose request has been read and found good: what is left is the key and the token. */
export interface Plan {
  label: string
  /** the key's id, 0 meaning the only one under the label; undefined where any key of the label will do */
  id: number | undefined
  step: CipherStep
}
