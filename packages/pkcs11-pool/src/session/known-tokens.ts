import type { NativeModuleInfo, NativeTokenInfo } from '../pkcs11/protocol.js'

/** What is known of a token from the software that it is, where it cannot be asked for. */
export interface KnownToken {
  /** A new object may get the handle of a destroyed one: openCryptoki takes the first number that is free. */
  readonly handlesComeBack: boolean
  /**
   * C_Login answers CKR_GENERAL_ERROR before it looks at the PIN: SoftHSM, where it cannot read its token's file because another process
   * that logs in writes it.
   */
  readonly failsBeforePin: boolean
}

/** The maker is the token's, which is seen through a proxy too. */
export function knownToken({ manufacturerID }: NativeTokenInfo): KnownToken {
  return {
    handlesComeBack: isOpenCryptoki(manufacturerID),
    failsBeforePin: isSoftHsm(manufacturerID),
  }
}

/**
 * Whether a token that is not there may be there when the module is initialised again: both of these look for their tokens only then, and
 * leave one out that they cannot read or load while other processes begin to use it.
 */
export function findsTokensOnce({ manufacturerID }: NativeModuleInfo): boolean {
  return isSoftHsm(manufacturerID) || isOpenCryptoki(manufacturerID)
}

function isSoftHsm(manufacturerID: string): boolean {
  return manufacturerID.startsWith('SoftHSM')
}

function isOpenCryptoki(manufacturerID: string): boolean {
  return manufacturerID.startsWith('IBM')
}
