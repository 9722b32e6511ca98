/** The state of the index in LMDB: each method of the port is one transaction over the rows of lmdb-rows, or one for each page of them. */

import { join } from 'node:path'
import { type Clock, systemClock } from '../../../core/clock.js'
import { StorageError } from '../../../core/errors.js'
import { encodeKey, type SessionKey } from '../../../core/keys.js'
import { checkBoolean, checkClock, checkNumber, checkText, checkWhole, LONGEST_MS, withDefaults } from '../../../core/options.js'
import { type OwnerProbe, procOwners } from '../../../tree/catalog/owner.js'
import { preparePrivateFolder } from '../local-disk.js'
import { type Claim, LANES, type WalRecord } from '../rows.js'
import { type LocalIndexStore, MAX_ID_BYTES } from '../state.js'
import { encodeWalAside } from '../wal-codec.js'
import { deadLetters, quarantineRecord, resetSession, retryLetter } from './dead.js'
import { openLmdb } from './env.js'
import { longUnseen, lostOwner, scanSessions, sweep, verifySession, whatEnded } from './leases.js'
import { ledgerPage, readLedger } from './ledger.js'
import { admitSchema, migrate, STATE_SCHEMA } from './migrate.js'
import { endedProcesses, noteRunning, remember } from './notes.js'
import { claimSession, hasWork, type Moment, observeSessions, releaseSession, renewLease } from './queue.js'
import { commitRecord, forgetSession, probeMessage, putRecord, removeSession } from './records.js'
import { LANE_NAMES, readSession, type SessionRow, wake, workedIn } from './rows.js'
import { bindSpace, cutOverSpace, readIdentity, retireRows, spacesInOrder, takesBack } from './spaces.js'
import { knownSessions, nextRunAt, statusOf } from './status.js'
import { keyAt, type StateEnvironment, type StateTables, TABLES } from './tables.js'
import { pendingSessions, readRecord } from './wal.js'

export { STATE_SCHEMA }

export interface LmdbStateOptions {
  /** The folder of the index; made, with mode 0700, when it does not exist. */
  readonly directory: string
  /** @default the system's */
  readonly clock?: Clock | undefined
  /** @default read from /proc; where there is none, leases end by expiry */
  readonly owners?: OwnerProbe | undefined
  /** Milliseconds; renewed long before. @default 300_000 */
  readonly leaseMs?: number | undefined
  /** The longest backoff, in milliseconds; a stored time further ahead is due. @default 120_000 */
  readonly maxDelayMs?: number | undefined
  /** Accept a network file system. @default false */
  readonly force?: boolean | undefined
  /** Linux's `f_type` of a path. @default statfs */
  readonly filesystem?: ((path: string) => number) | undefined
  /** Called inside transactions, for crash tests: as 'm' when a space goes live, as 'j' in each, before it is committed. */
  readonly failpoint?: ((name: string) => void) | undefined
  /** How long a transaction waits while another process writes, in milliseconds. @default 60_000 */
  readonly lockWaitMs?: number | undefined
  /** Ended leases that one transaction of a sweep frees; a sweep goes on until all are. @default 200 */
  readonly sweepPage?: number | undefined
}

const DEFAULTS = {
  directory: '',
  clock: systemClock,
  owners: undefined as OwnerProbe | undefined,
  leaseMs: 300_000,
  maxDelayMs: 120_000,
  force: false,
  filesystem: undefined as ((path: string) => number) | undefined,
  failpoint: undefined as ((name: string) => void) | undefined,
  lockWaitMs: 60_000,
  sweepPage: 200,
}

/** @throws StorageError STATE_TOO_NEW, STATE_DAMAGED, STATE_UNAVAILABLE, NETWORK_FILESYSTEM, INVALID_OPTION */
export async function openLmdbState(options: LmdbStateOptions): Promise<LocalIndexStore> {
  const settings = withDefaults<typeof DEFAULTS>(DEFAULTS, options)
  for (const name of ['leaseMs', 'maxDelayMs', 'lockWaitMs'] as const) checkNumber(name, settings[name], 1, LONGEST_MS)
  checkWhole('sweepPage', settings.sweepPage, 1)
  checkClock('clock', settings.clock)
  checkBoolean('force', settings.force)
  const { directory, filesystem, force, clock, failpoint, lockWaitMs } = settings
  if (directory === '') throw new StorageError('INVALID_OPTION', { reason: 'the directory of the index state is missing' })
  checkText('directory', directory)
  preparePrivateFolder(directory, filesystem === undefined ? { force } : { force, filesystem })
  const path = join(directory, 'state.mdb')
  const environment = await openLmdb({ path, tables: TABLES, admit: (meta) => admitSchema(meta, path), failpoint, lockWaitMs })
  try {
    await environment.transact((t) => migrate(t, clock.now()))
  } catch (error) {
    await environment[Symbol.asyncDispose]()
    throw error
  }
  return storeOn(environment, { ...settings, owners: settings.owners ?? procOwners() })
}

type Settings = typeof DEFAULTS & { readonly owners: OwnerProbe }

/** What the parts of the port share. */
interface Handle extends Settings {
  readonly environment: StateEnvironment
  readonly moment: () => Moment
  /** The space that the process is bound to. */
  bound: string | undefined
}

function storeOn(environment: StateEnvironment, settings: Settings): LocalIndexStore {
  const { clock, maxDelayMs } = settings
  const moment = (): Moment => ({ now: clock.now(), monotonic: clock.monotonic(), maxDelayMs })
  const handle: Handle = { ...settings, environment, moment, bound: undefined }
  return {
    ...spacesOf(handle),
    ...queueOf(handle),
    ...leasesOf(handle),
    ...recordsOf(handle),
    ...asideOf(handle),
    ...readsOf(handle),
    [Symbol.asyncDispose]: () => environment[Symbol.asyncDispose](),
  }
}

function spacesOf(handle: Handle) {
  const { environment, moment, failpoint } = handle
  return {
    async bind(identity, { rebuild = false } = {}) {
      // First, so that a crash between the two asks too much and not too little.
      if (rebuild && takesBack(environment.tables, identity))
        await eachSession(environment, undefined, (t, key, row) => verifySession(t, key, row, moment()))
      const space = await environment.transact((t) => bindSpace(t, identity, rebuild, moment()))
      handle.bound = space.id
      return space
    },
    identity: () => readIdentity(environment.tables),
    spaces: () => spacesInOrder(environment.tables),
    cutOver: () =>
      environment.transact((t) => {
        const space = cutOverSpace(t)
        if (space !== undefined) failpoint?.('m')
        return space
      }),
    retiring: (space, limit) => {
      const t = environment.tables
      return spacesInOrder(t).some(({ id, state }) => id === space && state === 'retiring') ? ledgerPage(t, space, limit) : []
    },
    retire: (space, rows) => environment.transact((t) => retireRows(t, space, rows, moment())),
  } satisfies Partial<LocalIndexStore>
}

function queueOf(handle: Handle) {
  const { environment, owners, leaseMs, moment } = handle
  return {
    async observe(page) {
      for (const { key } of page.seen) checkId(key.session)
      return environment.transact((t) => observeSessions(t, page, moment()))
    },
    wake: (keys, lane) =>
      eachSession(environment, keys, (t, key, row) => {
        wake(t, key, row, row, LANES[lane], moment().now)
        return true
      }),
    async claim(request = {}) {
      const { bound } = handle
      if (!hasWork(environment.tables, request, bound, moment())) return undefined
      const owner = owners.self()
      return environment.transact((t) => claimSession(t, request, { ...moment(), owner, ttl: leaseMs, bound }))
    },
    renew: (claim) => environment.transact((t) => renewLease(t, claim, leaseMs, moment())),
    release: (claim, outcome) => environment.transact((t) => releaseSession(t, claim, outcome, moment())),
  } satisfies Partial<LocalIndexStore>
}

function leasesOf({ environment, owners, moment, sweepPage: size }: Handle) {
  return {
    async sweep() {
      environment.forgetDeadReaders()
      const { leases, suspects } = whatEnded(environment.tables, owners.isGone, moment())
      let freed = 0
      for (let from = 0; from < Math.max(leases.length, suspects.length); from += size) {
        const page = { leases: leases.slice(from, from + size), suspects: suspects.slice(from, from + size) }
        freed += await environment.transact((t) => sweep(t, page, moment()))
      }
      return freed
    },
    lost: (claim) => environment.transact((t) => lostOwner(t, claim, moment())),
    verify: (keys) => eachSession(environment, keys, (t, key, row) => verifySession(t, key, row, moment())),
    async slowScan(options) {
      const keys = longUnseen(environment.tables, options, moment())
      return keys.length === 0 ? 0 : environment.transact((t) => scanSessions(t, keys, moment()))
    },
    note: (note) => environment.transact((t) => remember(t, note)),
    async running(is) {
      const ended = endedProcesses(environment.tables, owners.isGone)
      const self = owners.self()
      await environment.transact((t) => noteRunning(t, self, is, ended, moment().now))
    },
  } satisfies Partial<LocalIndexStore>
}

function recordsOf({ environment, clock }: Handle) {
  return {
    async walAppend(claim, record) {
      checkMessages(record)
      const bytes = await encodeWalAside(record)
      return environment.transact((t) => putRecord(t, claim, record, bytes))
    },
    async commit(claim, commit) {
      checkMessages({ ledger: [...(commit.ledger ?? []), ...(commit.unlogged?.ledger ?? [])], dead: commit.dead ?? [] })
      return environment.transact((t) => commitRecord(t, claim, commit, clock.now()))
    },
    remove: (claim) => environment.transact((t) => removeSession(t, claim)),
    async forget(claim, deletes, space = claim.space) {
      const record = deletes.length === 0 ? undefined : deletionOf({ ...claim, space }, deletes, clock.now())
      const bytes = record && (await encodeWalAside(record))
      return environment.transact((t) => forgetSession(t, claim, record, bytes))
    },
    probe: (claim, message) => environment.transact((t) => probeMessage(t, claim, message)),
  } satisfies Partial<LocalIndexStore>
}

function asideOf({ environment, moment }: Handle) {
  return {
    quarantine: (claim, seq) => environment.transact((t) => quarantineRecord(t, claim, seq, moment())),
    reset: (keys) => eachSession(environment, keys, (t, key, row) => resetSession(t, key, row, moment())),
    async retryDead(ids) {
      let retried = 0
      for (const dead of deadLetters(environment.tables, ids)) {
        if (await environment.transact((t) => retryLetter(t, dead, moment()))) retried++
      }
      return retried
    },
    async dropDead(ids) {
      const dropped = deadLetters(environment.tables, ids)
      for (const page of pagesOf(dropped)) {
        await environment.transact((t) => {
          for (const { path } of page) t.dead.removeSync(path)
        })
      }
      return dropped.length
    },
  } satisfies Partial<LocalIndexStore>
}

function readsOf(handle: Handle) {
  const { environment, owners, moment } = handle
  return {
    walRead: (seq) => readRecord(environment.tables, seq),
    ledger(key, space) {
      const t = environment.tables
      return new Map(readLedger(t, space ?? handle.bound ?? workedIn(t)?.id ?? '', key).map(({ message, row }) => [message, row]))
    },
    sessions: () => knownSessions(environment.tables),
    pending: () => pendingSessions(environment.tables),
    deadLetters: () => deadLetters(environment.tables).map(({ letter }) => letter),
    status: () => statusOf(environment.tables, owners.isGone, moment()),
    nextRunAt: (lanes = LANE_NAMES) => nextRunAt(environment.tables, lanes, handle.bound, moment()),
  } satisfies Partial<LocalIndexStore>
}

/** Sessions of one transaction: the write lock is everybody's. */
const PAGE = 256

function* pagesOf<T>(items: readonly T[]): Generator<readonly T[], void> {
  for (let at = 0; at < items.length; at += PAGE) yield items.slice(at, at + PAGE)
}

/** Changes the sessions that are known of those named, or all, a page in a transaction; gives the number of those that the change was for. */
async function eachSession(
  environment: StateEnvironment,
  keys: readonly SessionKey[] | undefined,
  change: (t: StateTables, key: SessionKey, row: SessionRow) => boolean,
): Promise<number> {
  const all = keys === undefined ? [...environment.tables.sess.getKeys({})].map((path) => keyAt(path, 0)) : distinct(keys)
  let changed = 0
  for (const page of pagesOf(all)) {
    changed += await environment.transact((t) => {
      const rows = page.map((key) => ({ key, row: readSession(t, key) }))
      return rows.filter(({ key, row }) => row !== undefined && change(t, key, row)).length
    })
  }
  return changed
}

function distinct(keys: readonly SessionKey[]): SessionKey[] {
  return [...new Map(keys.map((key) => [encodeKey(key), key])).values()]
}

/** @throws StorageError KEY_TOO_LONG */
function checkMessages({ ledger, dead }: Pick<WalRecord, 'ledger' | 'dead'>): void {
  for (const { message } of [...ledger, ...dead]) checkId(message)
}

function checkId(id: string): void {
  const bytes = Buffer.byteLength(id)
  if (bytes > MAX_ID_BYTES) throw new StorageError('KEY_TOO_LONG', { reason: `an id of ${bytes} bytes`, key: `${id.slice(0, 64)}...` })
}

function deletionOf({ key, space }: Claim, deletes: readonly string[], createdAt: number): WalRecord {
  const nothing = { rows: [], ledger: [], drop: [], dead: [], embedded: 0, cached: 0, dimensions: 0 }
  return { key, space, createdAt, deletes, ...nothing, matrix: new Float32Array(0) }
}
