import { join } from 'node:path'
import { SETTINGS_FILE } from '../config/files.js'

/** Where everything is in a data folder. All of it is readable by its owner only. */
export interface DataFolder {
  path: string
  /** settings that `ssm init` chose */
  settings: string
  /** accounts and audit */
  store: string
  /** held by the process that serves the folder, and its number for whoever comes next */
  lock: string
  holder: string
  /** the newest signed head of each chain of the audit */
  auditHeads: string
  /** what exports of the audit are verified with, in PEM */
  auditKey: string
  /** the PINs of a SoftHSM token made there, its user's and its security officer's */
  pin: string
  soPin: string
  /** SoftHSM's own */
  softHsmTokens: string
  softHsmConfiguration: string
}

export function dataFolder(path: string): DataFolder {
  return {
    path,
    settings: join(path, SETTINGS_FILE),
    store: join(path, 'ssm.sqlite'),
    lock: join(path, 'ssm.lock'),
    holder: join(path, 'ssm.pid'),
    auditHeads: join(path, 'audit-heads'),
    auditKey: join(path, 'audit-public-key.pem'),
    pin: join(path, 'pin'),
    soPin: join(path, 'so-pin'),
    softHsmTokens: join(path, 'tokens'),
    softHsmConfiguration: join(path, 'softhsm2.conf'),
  }
}
