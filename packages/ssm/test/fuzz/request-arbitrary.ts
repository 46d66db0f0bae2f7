import fc from 'fast-check'

/** A request as a client could send it. */
export interface FuzzedRequest {
  method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  path: string
  /** undefined for none */
  contentType: string | undefined
  body: string | undefined
}

/** What a route's description says of its body. */
export interface FuzzedRoute {
  method: FuzzedRequest['method']
  path: string
  /** the names of the body's members; empty where it takes none */
  members: readonly string[]
}

const LABELS = [
  'K4_AES',
  'K4_DES',
  'K4_DES3',
  'KEY_ENCRYPTION_AES256',
  'KEY_ENCRYPTION_AES128',
  'KEY_ENCRYPTION_DES',
  'KEY_ENCRYPTION_DES3',
  'JWT_SIGNING_KEY',
  'ENCRYPTION_KEY_INTERNAL_AES256',
]

const hexOf = (...lengths: number[]) =>
  fc
    .constantFrom(...lengths)
    .chain((length) =>
      fc.uint8Array({ minLength: length, maxLength: length }).map((bytes) => Buffer.from(bytes).toString('hex')),
    )
const hex = fc.oneof(
  { weight: 6, arbitrary: hexOf(0, 1, 8, 12, 15, 16, 17, 24, 32, 64) },
  { weight: 1, arbitrary: fc.constantFrom('0', 'zz', '0x00', 'ABCDEF', 'é0', '00'.repeat(5000)) },
)
/** Few, so that they meet and no token fills: 0 would make one more key each time. */
const id = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: 1, max: 4 }) },
  { weight: 1, arbitrary: fc.constantFrom(-1, 255, 256, 2 ** 31 - 1, 2 ** 31, -(2 ** 31), 1.5, 1e300) },
)

/** What a member of this name could well be. */
const LIKELY: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  key_label: fc.oneof({ weight: 8, arbitrary: fc.constantFrom(...LABELS) }, { weight: 1, arbitrary: fc.string() }),
  id,
  encryption_algorithm: fc.integer({ min: 0, max: 10 }),
  bits: fc.constantFrom(0, 64, 128, 192, 256, 512),
  key_type: fc.constantFrom('AES', 'DES', 'DES3', 'aes', ''),
  padding: fc.constantFrom('none', 'pkcs7', ''),
  service_id: fc.oneof(fc.constant('udm'), fc.string()),
  password: fc.string(),
}

const member = (name: string): fc.Arbitrary<unknown> =>
  fc.oneof(
    { weight: 12, arbitrary: LIKELY[name] ?? hex },
    { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 3 }) },
    { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 300 }) },
  )

const membersOf = (names: readonly string[]): fc.Arbitrary<object> => {
  const known = Object.fromEntries(names.map((name) => [name, member(name)]))
  const some = fc.record(known, { requiredKeys: [] })
  const extra = fc.dictionary(fc.string({ maxLength: 12 }), fc.jsonValue({ maxDepth: 1 }), { maxKeys: 2 })
  return fc.oneof(
    { weight: 8, arbitrary: fc.record(known) },
    { weight: 2, arbitrary: some },
    { weight: 1, arbitrary: fc.tuple(some, extra).map(([body, more]) => ({ ...more, ...body })) },
  )
}

const OPERATION_MEMBERS = ['key_label', 'id', 'plain', 'cipher', 'iv', 'tag', 'aad', 'encryption_algorithm', 'padding']
const operation = fc
  .tuple(
    fc.constantFrom('encrypt', 'decrypt', 'encrypt-aes-gcm', 'decrypt-aes-gcm', 'delete', ''),
    fc.subarray(OPERATION_MEMBERS).chain(membersOf),
  )
  .map(([name, body]) => ({ operation: name, ...body }))

const bodyOf = (names: readonly string[]): fc.Arbitrary<string> =>
  fc.oneof(
    {
      weight: 10,
      arbitrary: names.includes('operations')
        ? fc.array(operation, { maxLength: 8 }).map((operations) => JSON.stringify({ operations }))
        : membersOf(names).map((body) => JSON.stringify(body)),
    },
    { weight: 1, arbitrary: fc.json({ maxDepth: 6 }) },
    { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 200 }) },
    {
      weight: 1,
      arbitrary: fc.constantFrom('', '{', '[]', 'null', '{"__proto__":{"id":1}}', '{"id":1,"id":2}', '['.repeat(9999)),
    },
  )

/** Requests to these routes: mostly as they should be, and wrong in every way. */
export function fuzzedRequest(routes: readonly FuzzedRoute[]): fc.Arbitrary<FuzzedRequest> {
  const contentType = fc.oneof(
    { weight: 20, arbitrary: fc.constant('application/json') },
    { weight: 1, arbitrary: fc.constantFrom(undefined, 'text/plain', 'application/json; charset=utf-16', 'x', '') },
  )
  return fc.constantFrom(...routes).chain(({ method, path, members }) =>
    fc.record({
      method: fc.oneof(
        { weight: 30, arbitrary: fc.constant<FuzzedRequest['method']>(method) },
        { weight: 1, arbitrary: fc.constantFrom<FuzzedRequest['method'][]>('GET', 'POST', 'PUT', 'DELETE') },
      ),
      path: fc.oneof(
        { weight: 30, arbitrary: fc.constant(path) },
        { weight: 1, arbitrary: fc.webPath().map((tail) => path + tail) },
        { weight: 1, arbitrary: fc.webQueryParameters().map((query) => `${path}?${query}`) },
        { weight: 1, arbitrary: fc.constantFrom('/%', '/..%2f..', '//', '/crypto/%00', '/constructor', '/__proto__') },
      ),
      contentType,
      body: members.length === 0 ? fc.option(bodyOf(['id']), { nil: undefined, freq: 4 }) : bodyOf(members),
    }),
  )
}

const HEADS = [
  'GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n',
  'POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}',
  'POST /crypto/encrypt HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n',
  'POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n',
  'GET http://other/ HTTP/1.1\r\nHost: localhost\r\nHost: other\r\n\r\n',
  'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
]

/** Bytes of a connection: none that HTTP knows, or a request with some of its bytes changed, left out or repeated. */
export const rawBytes: fc.Arbitrary<Uint8Array> = fc.oneof(
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 400 }) },
  {
    weight: 4,
    arbitrary: fc
      .tuple(
        fc.constantFrom(...HEADS),
        fc.array(fc.tuple(fc.nat(300), fc.nat(255), fc.constantFrom('set', 'insert', 'delete', 'repeat')), {
          minLength: 1,
          maxLength: 6,
        }),
      )
      .map(([head, changes]) => {
        const bytes = [...Buffer.from(head)]
        for (const [place, byte, change] of changes) {
          const at = place % bytes.length
          if (change === 'set') bytes[at] = byte
          else if (change === 'insert') bytes.splice(at, 0, byte)
          else if (change === 'delete') bytes.splice(at, 1 + (byte % 8))
          else bytes.splice(at, 0, ...bytes.slice(at, at + (byte % 32)))
          if (bytes.length === 0) bytes.push(byte)
        }
        return Uint8Array.from(bytes)
      }),
  },
)
