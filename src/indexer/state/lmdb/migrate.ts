/** From schema 1 to this one, in one transaction: after a crash the state is of the one or of the other. */

import { isDocument } from '../../../core/documents.js'
import { StorageError } from '../../../core/errors.js'
import { decodeKey, type SessionKey } from '../../../core/keys.js'
import { spaceIdOf } from '../../space.js'
import { LANES } from '../rows.js'
import type { Table } from './env.js'
import { buildOf, type LeaseRow, NEW_SESSION, putSession, type QueueEntry, type SessionRow, type StoredSpace } from './rows.js'
import { addTo, keyAt, nextNumber, read, readNumber, type StateTables, scan } from './tables.js'
import { readRecord, type WalEntry } from './wal.js'

export const STATE_SCHEMA = 2

/** Runs before anything of the environment is changed. @throws StorageError STATE_TOO_NEW, STATE_DAMAGED */
export function admitSchema(meta: Table, path: string): void {
  const schema = read(meta, 'schema')
  if (schema === undefined || schema === 1 || schema === STATE_SCHEMA) return
  if (typeof schema !== 'number') throw new StorageError('STATE_DAMAGED', { reason: 'the index state names no schema version', path })
  throw new StorageError('STATE_TOO_NEW', { reason: `the index state has schema ${schema}, this spanleaf knows up to ${STATE_SCHEMA}`, path })
}

export function migrate(t: StateTables, now: number): void {
  const schema = read(t.meta, 'schema')
  if (schema === STATE_SCHEMA) return
  if (schema === 1) fromFirst(t, now)
  t.meta.putSync('schema', STATE_SCHEMA)
}

/** A session of schema 1, as far as it differs. */
interface FirstSession extends Omit<SessionRow, 'wal' | 'lease'> {
  readonly lease: Pick<LeaseRow, 'token' | 'owner' | 'until' | 'ttl' | 'since'> | null
  readonly wal: { readonly seq: number; readonly bytes: number } | null
  readonly fail: { readonly n: number } | null
}

function fromFirst(t: StateTables, now: number): void {
  const live = firstSpace(t, now)
  // They are derived, in part by other rules than then.
  for (const table of [t.ready, t.leaseExp, t.checked]) for (const key of [...table.getKeys({})]) table.removeSync(key)
  for (const { key, value } of [...scan(t.sess)]) {
    const session = keyAt(key, 0)
    const { fail, ...old } = { fail: null, ...NEW_SESSION, ...(value as object) } as FirstSession
    if (old.wal !== null) t.walIx.putSync(old.wal.seq, walEntryOf(t, session, old.wal, now))
    putSession(t, session, undefined, sessionOf(old, fail?.n ?? 0, live, now))
  }
  for (const { key, value } of [...scan(t.dead)]) moveDead(t, key, value)
}

/** It knew one space, whose ledger had the same name. */
function firstSpace(t: StateTables, now: number): StoredSpace | undefined {
  const identity = read(t.meta, 'identity')
  if (identity === undefined) return undefined
  if (!isDocument(identity) || typeof identity.space !== 'string' || typeof identity.namespace !== 'string')
    throw new StorageError('STATE_DAMAGED', { reason: 'the index state does not say what it was built with' })
  const { space, namespace } = identity
  const live: StoredSpace = { id: spaceIdOf(space), space, state: 'live', createdAt: now, build: nextNumber(t, 'seq') }
  t.meta.putSync('spaces', [live])
  t.meta.putSync('namespace', namespace)
  t.meta.removeSync('identity')
  for (const name of ['messages', 'documents', 'truncatedBytes']) {
    addTo(t, `${name}:${live.id}`, readNumber(t, name))
    t.meta.removeSync(name)
  }
  return live
}

function sessionOf(old: Omit<FirstSession, 'fail'>, failures: number, live: StoredSpace | undefined, now: number): SessionRow {
  const build = buildOf(live)
  const { wal, lease, q } = old
  return {
    ...old,
    failures,
    // It counted claims; here counts what they came to.
    crashes: lease === null ? old.crashes : Math.max(0, old.crashes - 1),
    builtIn: old.processedRev === null || live === undefined ? null : build,
    epoch: 0,
    q: q && ({ ...q, lane: old.gone || wal !== null ? LANES.replay : q.lane } satisfies QueueEntry),
    lease: lease && { ...lease, at: now, lane: LANES.fresh, unlogged: false, build, fruitful: false, wakes: 0, epoch: 0 },
    wal: wal && { seq: wal.seq, space: live?.id ?? '', epoch: 0 },
  }
}

function walEntryOf(t: StateTables, { agent, session }: SessionKey, { seq, bytes }: { seq: number; bytes: number }, now: number): WalEntry {
  return { agent, session, at: createdAt(t, seq) ?? now, bytes }
}

function createdAt(t: StateTables, seq: number): number | undefined {
  try {
    return readRecord(t, seq).createdAt
  } catch (error) {
    // Its session finds out at its next run.
    if (error instanceof StorageError) return undefined
    throw error
  }
}

function moveDead(t: StateTables, path: unknown, value: unknown): void {
  if (!Array.isArray(path) || path[0] !== 'wal' || !isDocument(value)) return
  const key = decodeKey(String(value.key))
  if (key.kind !== 'session') return
  const { head, matrix, code, at } = value
  const row = { code, reason: 'a write-ahead record cannot be decoded', at, ...(head ? { head } : {}), ...(matrix ? { matrix } : {}) }
  t.dead.removeSync(path)
  t.dead.putSync([key.agent, key.session, 'record', Number(path[1]), -1], row)
}
