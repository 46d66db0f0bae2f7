import { createDecipheriv, type KeyObject } from 'node:crypto'
import { createAesKey, createToken } from '../crypto/token.js'
import type { Context } from '../harness/context.js'
import type { Row, ScenarioResult, Target } from '../harness/result.js'
import { type Cell, interleave, samplesOf } from '../harness/rounds.js'
import { rates, ratios, summarise, target } from '../harness/statistics.js'
import { startServer } from '../http/server.js'
import { runWrk } from '../http/wrk.js'

const LABEL = 'KEY_ENCRYPTION_AES256'
const PLAIN = '00112233445566778899aabbccddeeff'
const BODY = JSON.stringify({ key_label: LABEL, plain: PLAIN, encryption_algorithm: 5 })
const KEY_COUNTS = [1, 100]
const CONNECTIONS = [1, 32]

const CACHED = 'pooled, cached handle'
const FOUND = 'pooled, found each time'
const BESIDE = 'per request, beside a pool'
const ALONE = 'per request, in a process of its own'
const WAYS = [CACHED, FOUND, BESIDE, ALONE]

/** One encryption per request over HTTP: the way of the pool against opening, logging in and finding for each request. */
export async function http(context: Context): Promise<ScenarioResult> {
  const seconds = context.plan.quick ? 1 : 2
  const cells: Cell[] = []
  for (const keyCount of KEY_COUNTS) {
    context.log(`making a token with ${keyCount === 1 ? '1 key' : `${keyCount} keys`} and starting three servers on it`)
    const token = await createToken(context, `http-${keyCount}`)
    const key = createAesKey()
    await token.importKey(LABEL, 1, key)
    if (keyCount > 1) await token.fill('other-', keyCount - 1)

    const pooled = await startServer(context, token.place, {})
    const finding = await startServer(context, token.place, { SSM_KEY_CACHE: 'off' })
    // without a pool's anchor session, which would hold the login for the old way too
    const alone = await startServer(context, token.place, { SSM_CONNECT: 'lazy' })
    const urls: Record<string, string> = {
      [CACHED]: `${pooled}/encrypt-pool`,
      [FOUND]: `${finding}/encrypt-pool`,
      [BESIDE]: `${pooled}/encrypt`,
      [ALONE]: `${alone}/encrypt`,
    }
    for (const connections of CONNECTIONS) {
      for (const way of WAYS) {
        const url = urls[way] ?? ''
        cells.push({
          name: cellName(way, keyCount, connections),
          run: async () => {
            await verifyAnswer(url, key)
            const sample = await runWrk(url, BODY, { connections, seconds })
            await verifyAnswer(url, key)
            return sample
          },
        })
      }
    }
  }

  const samples = await interleave(context, cells)
  const rows: Row[] = cells.map(({ name }) => summarise(name, samplesOf(samples, name), null))
  const targets: Target[] = [ALONE, BESIDE].flatMap((old) => {
    const p50 = (way: string) => samplesOf(samples, cellName(way, 100, 1)).map((sample) => sample.p50_us)
    const rate = (way: string) => rates(samplesOf(samples, cellName(way, 100, 32)))
    return [
      target(
        `POST /encrypt-pool against the old way (${old}), 100 keys, p50 at 1 connection`,
        { at_most: 0.1 },
        ratios(p50(CACHED), p50(old)),
      ),
      target(
        `POST /encrypt-pool against the old way (${old}), 100 keys, throughput at 32 connections`,
        { at_least: 10 },
        ratios(rate(CACHED), rate(old)),
      ),
    ]
  })
  return { scenario: 'http', rows, targets }
}

function cellName(way: string, keyCount: number, connections: number): string {
  return `${way}: ${keyCount === 1 ? '1 key' : `${keyCount} keys`}, ${connections === 1 ? '1 connection' : `${connections} connections`}`
}

/** One answer of the server, decrypted outside the token. */
async function verifyAnswer(url: string, key: KeyObject): Promise<void> {
  const answer = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body: BODY })
  const text = await answer.text()
  if (answer.status !== 201) throw new Error(`${url} answered ${answer.status}, expected 201: ${text}`)
  const { cipher, iv } = JSON.parse(text) as { cipher: string; iv: string }
  const decipher = createDecipheriv('aes-256-cbc', key, Buffer.from(iv, 'hex'))
  const plain = decipher.update(cipher, 'hex', 'hex') + decipher.final('hex')
  if (plain !== PLAIN) throw new Error(`${url} answered with what decrypts to ${plain}, expected ${PLAIN}`)
}
