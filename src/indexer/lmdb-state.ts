/** The state of the index in LMDB: each method of the port is one transaction over the rows of lmdb-rows. */
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { type Clock, systemClock } from '../core/clock.js'
import { isDocument } from '../core/documents.js'
import { StorageError } from '../core/errors.js'
import type { SessionKey } from '../core/keys.js'
import { checkNumber, withDefaults } from '../core/options.js'
import { checkKey, openLmdb, type Table } from './lmdb-env.js'
import { claimSession, endedLeases, type Moment, observeSessions, releaseSession, renewLease, takeOver, verifySessions } from './lmdb-queue.js'
import { commitRecord, forgetSession, moveToDead, pendingSessions, putRecord, readRecord, removeSession } from './lmdb-records.js'
import { read, readLedger, type StateEnvironment, TABLES } from './lmdb-rows.js'
import { deadRows, knownSessions, nextDue, statusOf } from './lmdb-status.js'
import { preparePrivateFolder } from './local-disk.js'
import { type OwnerProbe, procOwners } from './owner.js'
import type { IndexStore } from './state.js'
import type { IndexIdentity, WalRecord } from './state-rows.js'
import { encodeWal } from './wal-codec.js'

export const STATE_SCHEMA = 1

export interface LmdbStateOptions {
  /** The folder of the index; made, with mode 0700, when it does not exist. */
  readonly directory: string
  /** @default the system's */
  readonly clock?: Clock | undefined
  /** @default read from /proc; where there is none, leases end by expiry */
  readonly owners?: OwnerProbe | undefined
  /** Milliseconds; renewed long before. @default 60_000 */
  readonly leaseMs?: number | undefined
  /** The longest backoff, in milliseconds; a stored time further ahead is due. @default 120_000 */
  readonly maxDelayMs?: number | undefined
  /** Accept a network file system. @default false */
  readonly force?: boolean | undefined
  /** Linux's `f_type` of a path. @default statfs */
  readonly filesystem?: ((path: string) => number) | undefined
  /** Called as 'j' inside each transaction, for crash tests. */
  readonly failpoint?: ((name: string) => void) | undefined
}

const DEFAULTS = {
  directory: '',
  clock: systemClock,
  owners: undefined as OwnerProbe | undefined,
  leaseMs: 60_000,
  maxDelayMs: 120_000,
  force: false,
  filesystem: undefined as ((path: string) => number) | undefined,
  failpoint: undefined as ((name: string) => void) | undefined,
}

/** @throws StorageError STATE_TOO_NEW, STATE_DAMAGED, STATE_UNAVAILABLE, NETWORK_FILESYSTEM, INVALID_OPTION */
export async function openLmdbState(options: LmdbStateOptions): Promise<IndexStore> {
  const settings = withDefaults<typeof DEFAULTS>(DEFAULTS, options)
  checkNumber('leaseMs', settings.leaseMs, 1)
  checkNumber('maxDelayMs', settings.maxDelayMs, 1)
  const { directory, filesystem, force } = settings
  if (directory === '') throw new StorageError('INVALID_OPTION', { reason: 'the directory of the index state is missing' })
  preparePrivateFolder(directory, filesystem === undefined ? { force } : { force, filesystem })
  const path = join(directory, 'state.mdb')
  const environment = await openLmdb({ path, tables: TABLES, admit: (meta) => admitSchema(meta, path), failpoint: settings.failpoint })
  try {
    await environment.transact((t) => {
      if (read(t.meta, 'schema') === undefined) t.meta.putSync('schema', STATE_SCHEMA)
    })
  } catch (error) {
    await environment[Symbol.asyncDispose]()
    throw error
  }
  return lmdbStore(environment, { ...settings, owners: settings.owners ?? procOwners() })
}

/** Runs before anything of the environment is changed. */
function admitSchema(meta: Table, path: string): void {
  const schema = read(meta, 'schema')
  if (schema === undefined || schema === STATE_SCHEMA) return
  if (typeof schema !== 'number') throw new StorageError('STATE_DAMAGED', { reason: 'the index state names no schema version', path })
  throw new StorageError('STATE_TOO_NEW', { reason: `the index state has schema ${schema}, this spanleaf knows up to ${STATE_SCHEMA}`, path })
}

interface Settings {
  readonly clock: Clock
  readonly owners: OwnerProbe
  readonly leaseMs: number
  readonly maxDelayMs: number
}

function lmdbStore(environment: StateEnvironment, { clock, owners, leaseMs, maxDelayMs }: Settings): IndexStore {
  const moment = (): Moment => ({ now: clock.now(), monotonic: clock.monotonic() })
  const identity = (): IndexIdentity | undefined => toIdentity(read(environment.tables.meta, 'identity'))
  // The ledger of a space; vectors of two spaces never share one.
  const generation = (): string => generationOf(identity())
  return {
    bind: (wanted) => bindIdentity(environment, wanted),
    identity,
    async observe(page) {
      for (const { key } of page.seen) checkKey([0, 0, 0, key.agent, key.session], key.session)
      return environment.transact((t) => observeSessions(t, page, moment()))
    },
    claim(only) {
      const owner = owners.self()
      return environment.transact((t) => claimSession(t, { ...moment(), owner, ttl: leaseMs, maxDelayMs, only }))
    },
    renew: (claim) => environment.transact((t) => renewLease(t, claim, leaseMs, moment())),
    async walAppend(claim, record) {
      for (const { message } of record.ledger) checkKey(['generation', claim.key.agent, claim.key.session, message], message)
      const bytes = encodeWal(record)
      return environment.transact((t) => putRecord(t, claim, bytes))
    },
    async commit(claim, commit) {
      const { ledger = [], drop = [] } = commit
      for (const { message } of ledger) checkKey(['generation', claim.key.agent, claim.key.session, message], message)
      const gen = generation()
      return environment.transact((t) => commitRecord(t, gen, claim, { ...commit, ledger, drop }))
    },
    release: (claim, outcome) => environment.transact((t) => releaseSession(t, claim, outcome, maxDelayMs, moment())),
    async sweep() {
      const ended = endedLeases(environment.tables, owners.isGone, moment())
      return ended.length === 0 ? 0 : environment.transact((t) => takeOver(t, ended, moment()))
    },
    async remove(claim) {
      const gen = generation()
      return environment.transact((t) => removeSession(t, gen, claim))
    },
    async forget(claim, deletes) {
      const bytes = deletes.length === 0 ? undefined : encodeWal(deletionOf(claim.key, deletes, clock.now()))
      return environment.transact((t) => forgetSession(t, claim, bytes))
    },
    quarantine: (claim, seq) => environment.transact((t) => moveToDead(t, claim, seq, clock.now())),
    verifyAll: () => environment.transact((t) => verifySessions(t, moment())),
    walRead: (seq) => readRecord(environment.tables, seq),
    ledger: (key) => new Map(readLedger(environment.tables, generation(), key).map(({ message, row }) => [message, row])),
    sessions: () => knownSessions(environment.tables),
    pending: () => pendingSessions(environment.tables),
    dead: () => deadRows(environment.tables),
    status: () => statusOf(environment.tables, clock.now(), maxDelayMs),
    nextRunAt: () => nextDue(environment.tables, clock.now(), maxDelayMs),
    [Symbol.asyncDispose]: () => environment[Symbol.asyncDispose](),
  }
}

async function bindIdentity(environment: StateEnvironment, wanted: IndexIdentity): Promise<void> {
  const held = await environment.transact((t) => {
    const identity = toIdentity(read(t.meta, 'identity'))
    if (identity === undefined) t.meta.putSync('identity', { space: wanted.space, namespace: wanted.namespace })
    return identity
  })
  if (held === undefined) return
  if (held.space !== wanted.space) {
    throw new StorageError('SINK_MISMATCH', { reason: `the index was built with the embedder "${held.space}", not with "${wanted.space}"` })
  }
  if (held.namespace !== wanted.namespace) {
    throw new StorageError('INVALID_OPTION', { reason: `the index was built with the namespace "${held.namespace}", not with "${wanted.namespace}"` })
  }
}

function toIdentity(value: unknown): IndexIdentity | undefined {
  if (value === undefined) return undefined
  if (isDocument(value) && typeof value.space === 'string' && typeof value.namespace === 'string')
    return { space: value.space, namespace: value.namespace }
  throw new StorageError('STATE_DAMAGED', { reason: 'the index state does not say what it was built with' })
}

function generationOf(identity: IndexIdentity | undefined): string {
  return identity === undefined ? '' : createHash('sha256').update(identity.space).digest('hex').slice(0, 8)
}

function deletionOf(key: SessionKey, deletes: readonly string[], createdAt: number): WalRecord {
  return { key, createdAt, rows: [], deletes, ledger: [], drop: [], embedded: 0, cached: 0, dimensions: 0, matrix: new Float32Array(0) }
}
