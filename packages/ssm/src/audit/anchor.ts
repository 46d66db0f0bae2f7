import type { Client, Session, Template } from 'pkcs11-pool'
import { readHead, type Signed } from './signer.js'

const LABEL = 'AUDIT_HEAD'

/** A chain's newest head as it is kept beside the store. */
export interface Anchor {
  chain: string
  head: Signed
}

/**
 * Keeps a chain's newest head on the HSM, out of reach of whoever can write the store: without it, the end of a chain could be cut off
 * together with its heads.
 */
export async function writeAnchor(client: Client, { chain, head }: Anchor): Promise<void> {
  const value = Buffer.from(JSON.stringify({ chain, ...head }))
  await client.withSession(async (session) => {
    const older = await session.findObjects(templateOf(chain))
    // a value that is there is not to be changed on every token; the newer one first, so that there is always one
    await session.createObject({ ...templateOf(chain), CKA_PRIVATE: true, CKA_VALUE: value })
    for (const object of older) await session.destroyObject(object)
  })
}

/** The heads on the HSM, of one chain or of all. Others are renewed at any moment: whoever needs one chain's looks at no more. */
export function readAnchors(client: Client, chain?: string): Promise<Anchor[]> {
  const wanted: Template =
    chain === undefined ? { CKA_CLASS: 'CKO_DATA', CKA_LABEL: LABEL, CKA_TOKEN: true } : templateOf(chain)
  return client.withSession(async (session) => {
    // not what somebody without the PIN put there
    const handles = await session.findObjects({ ...wanted, CKA_PRIVATE: true })
    return Promise.all(handles.map((handle) => readAnchor(session, handle)))
  })
}

async function readAnchor(session: Session, handle: number | bigint): Promise<Anchor> {
  const { CKA_VALUE } = await session.getAttributes(handle, ['CKA_VALUE'])
  // only this service writes objects of this label; what is no head of a chain fails its signature
  const value = readHead(String(CKA_VALUE ?? ''))
  return { chain: value.chain ?? '?', head: value }
}

function templateOf(chain: string): Template {
  return { CKA_CLASS: 'CKO_DATA', CKA_LABEL: LABEL, CKA_APPLICATION: `ssm ${chain}`, CKA_TOKEN: true }
}
