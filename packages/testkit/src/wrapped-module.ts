import {
  closeSync,
  copyFileSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  truncateSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import pkcs11js from 'pkcs11js'
import { buildModule, cryptokiHeader } from './build-module.js'

/** A function of PKCS#11 2.40, such as `C_Encrypt`. */
export type FunctionName = `C_${string}`

/** A return value by its name in the standard, or a vendor's own by number. */
export type ReturnValue = `CKR_${string}` | number

/** Which of a function's calls from now on a rule is for. */
export interface CallRange {
  /** The first one affected, 1 being the next call. @defaultValue 1 */
  from?: number
  /** How many are affected. @defaultValue Infinity */
  times?: number
}

/**
 * A PKCS#11 module that stands before another one and misbehaves when told to. The rules hold at once and for every process that
 * has loaded `module`; each function has at most one rule of each kind, and the newest replaces the older. A call waits while it
 * hangs, then for its delay, and then fails or reaches the real module.
 */
export interface WrappedModule {
  /** the path to load instead of the real module */
  module: string
  /** every call of the function takes that much longer, in microseconds; 0 ends it */
  delay(name: FunctionName, microseconds: number): void
  /** calls of the function do not return until `release` */
  hang(name: FunctionName, range?: CallRange): void
  /** lets hanging calls go on, and none hang after: of one function, or of all */
  release(name?: FunctionName): void
  /** calls of the function return the value and never reach the real module */
  fail(name: FunctionName, rv: ReturnValue, range?: CallRange): void
  /** the token has room for so many sessions of this process, says so, and refuses more; Infinity ends it */
  limitSessions(count: number): void
  /** the next C_OpenSession, so many, answer with the handle of a session that is open already */
  repeatHandles(count: number): void
  /** takes back every delay, hang and failure of one function; of all, also the limit of sessions and the repeats */
  clear(name?: FunctionName): void
  /** how often the function was called so far */
  calls(name: FunctionName): number
  /** how many calls of the function, or of all functions, are inside the module now */
  running(name?: FunctionName): number
  /** how many calls are held by `hang` now */
  hanging(): number
  /** how many sessions are open that were opened through this module */
  openSessions(): number
  /** lets all calls go on and removes the module's files; idempotent */
  remove(): void
}

// The layout of `struct control` in `modules/wrap.c`: a path, two counters, a limit, a rest, and one block of eight 64-bit numbers a function.
const WORD = 8
const OPEN_SESSIONS = 4096
const HANGING = OPEN_SESSIONS + WORD
const MAX_SESSIONS = HANGING + WORD
const REPEATS = MAX_SESSIONS + WORD
const FUNCTIONS = REPEATS + WORD
const FUNCTION_SIZE = 8 * WORD
const MAX_FUNCTIONS = 128
const Field = {
  calls: 0,
  running: 1,
  delay: 2,
  hangFirst: 3,
  hangLast: 4,
  failFirst: 5,
  failLast: 6,
  failRv: 7,
} as const

/** Makes a misbehaving module before a token's module, in a directory of its own; `remove` it after use. */
export function createWrappedModule(token: { module: string }): WrappedModule {
  const directory = mkdtempSync(join(tmpdir(), 'testkit-module-'))
  const module = join(directory, 'wrapped.so')
  copyFileSync(buildModule(fileURLToPath(new URL('../modules/wrap.c', import.meta.url))), module)
  const file = openSync(`${module}.control`, 'w+', 0o600)
  truncateSync(`${module}.control`, FUNCTIONS + MAX_FUNCTIONS * FUNCTION_SIZE)
  writeSync(file, `${token.module}\0`, 0)
  let removed = false

  const word = Buffer.alloc(WORD)
  const read = (position: number): number => {
    readSync(file, word, 0, WORD, position)
    return Number(word.readBigInt64LE())
  }
  const write = (position: number, value: number): void => {
    word.writeBigInt64LE(BigInt(value))
    writeSync(file, word, 0, WORD, position)
  }
  const at = (index: number, field: keyof typeof Field) => FUNCTIONS + index * FUNCTION_SIZE + Field[field] * WORD
  const chosen = (name: FunctionName | undefined) => (name === undefined ? functionNames.keys() : [indexOf(name)])

  // A rule's range is emptied before it is filled: between two writes the module must see no range, rather than half of two.
  const setRange = (index: number, kind: 'hang' | 'fail', { from = 1, times = Infinity }: CallRange) => {
    const first = read(at(index, 'calls')) + from
    write(at(index, `${kind}Last`), 0)
    write(at(index, `${kind}First`), first)
    write(at(index, `${kind}Last`), times === Infinity ? Number.MAX_SAFE_INTEGER : first + times - 1)
  }

  const release = (name?: FunctionName) => {
    for (const index of chosen(name)) write(at(index, 'hangLast'), 0)
  }

  return {
    module,
    delay: (name, microseconds) => write(at(indexOf(name), 'delay'), microseconds),
    hang: (name, range = {}) => setRange(indexOf(name), 'hang', range),
    release,
    fail(name, rv, range = {}) {
      const index = indexOf(name)
      write(at(index, 'failLast'), 0)
      write(at(index, 'failRv'), returnValue(rv))
      setRange(index, 'fail', range)
    },
    limitSessions: (count) => write(MAX_SESSIONS, count === Infinity ? 0 : count),
    repeatHandles: (count) => write(REPEATS, count),
    clear(name) {
      if (name === undefined) for (const each of [MAX_SESSIONS, REPEATS]) write(each, 0)
      for (const index of chosen(name)) {
        write(at(index, 'delay'), 0)
        write(at(index, 'hangLast'), 0)
        write(at(index, 'failLast'), 0)
      }
    },
    calls: (name) => read(at(indexOf(name), 'calls')),
    running: (name) => [...chosen(name)].reduce((sum, index) => sum + read(at(index, 'running')), 0),
    hanging: () => read(HANGING),
    openSessions: () => read(OPEN_SESSIONS),
    remove() {
      if (removed) return
      removed = true
      release()
      closeSync(file)
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

const functionNames: readonly string[] = readFunctionNames()

function readFunctionNames(): string[] {
  const [, list = ''] = readFileSync(cryptokiHeader, 'utf8').split(
    /#define CRYPTOKI_2_40_FUNCTIONS|#define CRYPTOKI_3_0_FUNCTIONS/,
  )
  return [...list.matchAll(/\bX\((C_\w+),/g)].map(([, name = '']) => name)
}

function indexOf(name: FunctionName): number {
  const index = functionNames.indexOf(name)
  if (index < 0) throw new Error(`${name} is no function of PKCS#11 2.40`)
  return index
}

function returnValue(rv: ReturnValue): number {
  if (typeof rv === 'number') return rv
  const value: unknown = Object.entries(pkcs11js).find(([name]) => name === rv)?.[1]
  if (typeof value !== 'number') throw new Error(`${rv} is no return value of PKCS#11 that pkcs11js knows`)
  return value
}
