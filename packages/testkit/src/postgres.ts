import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { foreignEnvironment } from './foreign-environment.js'
import { secret } from './secret.js'
import { TokenUnavailable } from './test-token.js'
import { listens, ServerProcess, type TokenServer } from './token-server.js'

/** A PostgreSQL of its own, on a Unix socket in a temporary folder. */
export interface Postgres {
  /** what no log and no error may show */
  password: string
  server: TokenServer
  /** makes an empty database and gives its URL, password included */
  createDatabase(): string
  /** runs SQL in a database and returns what psql prints: a line a row, columns parted by `|` */
  run(url: string, sql: string): string
  remove(): Promise<void>
}

const INSTALLED = '/usr/lib/postgresql'
const USER = 'ssm'
/** Of tests nothing has to outlive the machine, so nothing waits for the disk. */
const SETTINGS = { fsync: 'off', listen_addresses: '', max_connections: '60', shared_buffers: '16MB' }

/** @throws TokenUnavailable where PostgreSQL is not installed */
export async function createPostgres(): Promise<Postgres> {
  const programs = findPrograms()
  const directory = mkdtempSync(join(tmpdir(), 'testkit-postgres-'))
  const as = unprivileged(directory)
  const data = join(directory, 'data')
  const password = secret()
  const passwordFile = join(directory, 'password')
  writeFileSync(passwordFile, password, { mode: 0o644 })
  const choices = {
    pgdata: data,
    username: USER,
    pwfile: passwordFile,
    auth: 'scram-sha-256',
    encoding: 'UTF8',
    locale: 'C',
    'wal-segsize': '1',
  }
  const initdb = [join(programs, 'initdb'), '--no-sync', ...flagsOf(choices, (name, value) => [`--${name}`, value])]
  const [command = '', ...args] = [...as, ...initdb]
  execFileSync(command, args, { cwd: directory, env: foreignEnvironment(), stdio: ['ignore', 'ignore', 'pipe'] })

  const socket = join(directory, '.s.PGSQL.5432')
  const settings = { ...SETTINGS, unix_socket_directories: directory }
  const flags = flagsOf(settings, (name, value) => ['-c', `${name}=${value}`])
  const [program = '', ...rest] = [...as, join(programs, 'postgres'), '-D', data, ...flags]
  const urlOf = (database: string) => `postgres://${USER}:${password}@${encodeURIComponent(directory)}/${database}`
  const run = (url: string, sql: string) =>
    execFileSync(join(programs, 'psql'), ['--no-psqlrc', '--tuples-only', '--no-align', '--command', sql, url], {
      encoding: 'utf8',
      env: foreignEnvironment(),
      stdio: ['ignore', 'pipe', 'pipe'],
    }).trimEnd()
  const server = new ServerProcess({
    command: program,
    args: rest,
    isReady: async () => (await listens(socket)) && answers(() => run(urlOf('postgres'), 'select 1')),
    leavesBehind: [join(data, 'postmaster.pid'), socket, `${socket}.lock`],
    // at once, and no shared memory is left
    endsBy: 'SIGQUIT',
  })
  try {
    await server.start()
  } catch (error) {
    rmSync(directory, { recursive: true, force: true })
    throw error
  }
  return {
    password,
    server,
    run,
    createDatabase: () => {
      const name = `test_${randomBytes(6).toString('hex')}`
      run(urlOf('postgres'), `create database ${name}`)
      return urlOf(name)
    },
    remove: async () => {
      await server.kill()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

function flagsOf(choices: Record<string, string>, flag: (name: string, value: string) => string[]): string[] {
  return Object.entries(choices).flatMap(([name, value]) => flag(name, value))
}

/** The folder of the newest PostgreSQL's programs. */
function findPrograms(): string {
  const versions = existsSync(INSTALLED) ? readdirSync(INSTALLED).sort((a, b) => Number(b) - Number(a)) : []
  const found = versions
    .map((version) => join(INSTALLED, version, 'bin'))
    .find((path) => existsSync(join(path, 'initdb')))
  if (found !== undefined) return found
  throw new TokenUnavailable(`no PostgreSQL in ${INSTALLED}: install postgresql`)
}

/** PostgreSQL refuses to run as root: there it runs as the user that its package makes, to whom the folder is given. */
function unprivileged(directory: string): string[] {
  if (process.getuid?.() !== 0) return []
  const [uid, gid] = ['-u', '-g'].map((flag) => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' })))
  chownSync(directory, uid ?? 0, gid ?? 0)
  // a change of user takes the signal away that the parent's death gives, so it is asked for again
  return ['setpriv', '--reuid', String(uid), '--regid', String(gid), '--clear-groups', '--pdeathsig', 'KILL']
}

function answers(ask: () => unknown): boolean {
  try {
    ask()
    return true
  } catch {
    return false
  }
}
