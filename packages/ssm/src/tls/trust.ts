import type { X509Certificate } from 'node:crypto'

/** How many certificates are looked at between one and its root. */
const MOST_BETWEEN = 10

/**
 * Whether roots believe a certificate: a chain leads from it to one of them, each signed by the next and good now. For a connection whose
 * handshake has looked at everything else already, by roots of before.
 *
 * @param between what it was presented with
 */
export function isBelieved(
  certificate: X509Certificate,
  between: readonly X509Certificate[],
  roots: readonly X509Certificate[],
  nowMs: number = Date.now(),
): boolean {
  const seen = new Set<string>()
  let ends = [certificate]
  for (let steps = 0; steps <= MOST_BETWEEN && ends.length > 0; steps++) {
    const fresh = ends.filter((each) => !seen.has(each.fingerprint256) && isGood(each, nowMs))
    for (const each of fresh) seen.add(each.fingerprint256)
    const signers = fresh.flatMap((each) => [...roots, ...between].filter((signer) => signed(signer, each)))
    if (signers.some((signer) => roots.includes(signer) && signed(signer, signer) && isGood(signer, nowMs))) return true
    ends = signers
  }
  return false
}

function signed(signer: X509Certificate, certificate: X509Certificate): boolean {
  return signer.ca && certificate.checkIssued(signer) && certificate.verify(signer.publicKey)
}

function isGood({ validFrom, validTo }: X509Certificate, nowMs: number): boolean {
  return Date.parse(validFrom) <= nowMs && nowMs < Date.parse(validTo)
}
