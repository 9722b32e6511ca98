/**
 * One claim: the pending record first, then what the session needs, in records that are durable before the sink sees them.
 *
 * A failure of the sink leaves its record where it is, so the next claim sends it again without embedding.
 */
import { StorageError } from '../core/errors.js'
import { isSafeId, type MessageId } from '../core/ids.js'
import { encodeKey, isAgent, type SessionKey } from '../core/keys.js'
import { diffSession, type Work } from './diff.js'
import { backoffMs, carries, type Engine, isExcluded, isWithheld, metaHashOf } from './engine.js'
import { failureOf, outside } from './faults.js'
import { type HeldLease, holdLease } from './lease.js'
import { applyRecord, deletionRecord, deletionRecords, documentIds, inBatches, pages, upsertRecord, withdrawalOf, writeRecord } from './records.js'
import type { SessionTail } from './source.js'
import type { Claim, LedgerEntry, LedgerRow, Outcome, WalRecord } from './state-rows.js'

/** Rows of one ledger transaction, and deletions of one record. */
const PAGE = 256

type Ended = Outcome | { readonly kind: 'removed' } | { readonly kind: 'lost' }

/** Runs one claim to its release. @throws StorageError STATE_* when the state itself cannot be used */
export async function runClaim(engine: Engine, claim: Claim, outer: AbortSignal): Promise<Ended['kind']> {
  engine.progress({ kind: 'claimed', key: claim.key })
  const ended = await underLease(engine, claim, outer)
  if (ended.kind === 'removed' || ended.kind === 'lost') {
    engine.progress({ kind: ended.kind, key: claim.key })
    return ended.kind
  }
  try {
    await engine.state.release(claim, ended)
  } catch (error) {
    if (!isLost(error)) throw error
    engine.progress({ kind: 'lost', key: claim.key })
    return 'lost'
  }
  engine.progress({ kind: 'released', key: claim.key })
  return ended.kind
}

async function underLease(engine: Engine, claim: Claim, outer: AbortSignal): Promise<Ended> {
  await using lease = holdLease(claim, engine.state, engine.clock, outer)
  try {
    return await indexSession(engine, lease)
  } catch (thrown) {
    // A lost lease aborts the calls under it; they say so in their own words.
    const error = lease.signal.aborted && !outer.aborted ? lease.signal.reason : thrown
    if (isLost(error)) return { kind: 'lost' }
    if (concernsAll(error)) {
      await engine.state.release(claim, { kind: 'stopped' }).catch(() => undefined)
      throw error
    }
    if (outer.aborted) return { kind: 'stopped' }
    const failure = failureOf(error)
    engine.progress({ kind: 'failed', key: claim.key, failure, error })
    return { kind: 'failed', failure, delayMs: backoffMs(claim.failures, engine.random, engine.limits) }
  }
}

export function isLost(error: unknown): boolean {
  return error instanceof StorageError && error.code === 'LEASE_LOST'
}

/** No session is at fault, and no other one can do better. */
function concernsAll(error: unknown): boolean {
  return error instanceof StorageError && CONCERN_ALL.has(error.code)
}

const CONCERN_ALL: ReadonlySet<string> = new Set(['STATE_TOO_NEW', 'STATE_DAMAGED', 'STATE_UNAVAILABLE', 'EXCLUSIONS_DAMAGED'])

async function indexSession(engine: Engine, lease: HeldLease): Promise<Ended> {
  const { claim } = lease
  if (claim.wal !== undefined && !(await drainPending(engine, lease, claim.wal))) return { kind: 'done', more: true }
  if (claim.gone) return removeSession(engine, lease)
  if (claim.verify !== undefined) await repairSink(engine, lease)
  const ledger = engine.state.ledger(claim.key)
  const tail = await engine.sessions.tail(claim.key, ({ message }) => knownSignature(ledger.get(message), claim.meta), {
    signal: lease.signal,
    store: claim.store,
  })
  const isOut = (): boolean => isExcluded(engine.exclude(), tail.meta)
  // Looked at again should a folder be found, or no folder be excluded any more.
  if (isWithheld(engine.exclude(), tail.meta)) return { kind: 'done', incomplete: true, verified: claim.verify }
  const { limits, clock } = engine
  const meta = metaHashOf(tail.meta, engine.projectName)
  const { project } = engine
  const work = await diffSession({ ledger, tail, meta, now: clock.now(), quantum: limits.quantum, project, signal: lease.signal }, limits)
  await carryOut(engine, lease, tail, work, isOut)
  if (isOut()) {
    await removeDocuments(engine, lease)
    // To be read again should the exclusion be taken back before an observation notes it.
    return { kind: 'done', incomplete: true, verified: claim.verify }
  }
  if (work.leftOut > 0) engine.progress({ kind: 'left-out', key: claim.key, code: 'KEY_TOO_LONG' })
  if (work.more) return { kind: 'done', more: true }
  return {
    kind: 'done',
    recheckMs: work.volatile > 0 ? limits.settleRecheckMs : undefined,
    incomplete: !tail.complete,
    verified: claim.verify,
  }
}

/** False when the record was damaged and put aside. @throws StorageError STATE_TOO_NEW: a newer record is left alone */
async function drainPending(engine: Engine, lease: HeldLease, seq: number): Promise<boolean> {
  const { claim } = lease
  let record: WalRecord
  try {
    record = engine.state.walRead(seq)
    if (encodeKey(record.key) !== encodeKey(claim.key)) throw new StorageError('WAL_DAMAGED', { reason: 'a record names another session' })
  } catch (error) {
    if (!(error instanceof StorageError) || error.code !== 'WAL_DAMAGED') throw error
    await engine.state.quarantine(claim, seq)
    engine.progress({ kind: 'quarantined', key: claim.key })
    return false
  }
  if (claim.gone || recordIsExcluded(engine, record)) {
    await engine.cache?.remove(record.ledger.flatMap(({ row }) => row.chunks))
    await applyRecord(engine, lease, seq, withdrawalOf(record), true)
  } else await applyRecord(engine, lease, seq, record, true)
  return true
}

/** By what its documents carry; what the session has become since is for the reading to find out. */
function recordIsExcluded(engine: Engine, { rows: [first] }: WalRecord): boolean {
  if (first === undefined) return false
  const { session_id, project_id, directory } = first.metadata
  return isExcluded(engine.exclude(), { id: session_id, project: project_id, directory })
}

/** T10: every document leaves the sink, page by page, then the session leaves the state. */
export async function removeSession(engine: Engine, lease: HeldLease): Promise<Ended> {
  await removeDocuments(engine, lease)
  return (await engine.state.remove(lease.claim)) ? { kind: 'removed' } : { kind: 'done', more: true }
}

/** The vectors go first, while the ledger names them. A text that another session shares is embedded again when it is next written. */
async function removeDocuments(engine: Engine, lease: HeldLease): Promise<void> {
  const { key } = lease.claim
  const removed = entriesOf(engine.state.ledger(key))
  await engine.cache?.remove(removed.flatMap(({ row }) => row.chunks))
  for (const record of deletionRecords(engine, lease.claim, removed, PAGE)) await writeRecord(engine, lease, record)
}

function entriesOf(ledger: ReadonlyMap<MessageId, LedgerRow>): LedgerEntry[] {
  return [...ledger].map(([message, row]) => ({ message, row }))
}

/** Undefined makes the source hand the message over. */
function knownSignature(row: LedgerRow | undefined, meta: string): string | undefined {
  if (row === undefined || row.state === 'volatile' || !carries(row.meta, meta)) return undefined
  return row.signature === '' ? undefined : row.signature
}

/** Stops where it stands once the session is out. */
async function carryOut(engine: Engine, lease: HeldLease, tail: SessionTail, work: Work, isOut: () => boolean): Promise<void> {
  const { state, limits } = engine
  if (isOut()) return
  for (const ledger of pages(work.notes, PAGE)) await state.commit(lease.claim, { ledger })
  for (const record of deletionRecords(engine, lease.claim, work.removed, PAGE)) await writeRecord(engine, lease, record)
  for (const batch of inBatches(work.upserts, limits.recordSize)) {
    if (isOut()) return
    const record = await upsertRecord(engine, batch, tail.meta, lease)
    engine.failpoint('d')
    if (isOut()) {
      await engine.cache?.remove(record.ledger.flatMap(({ row }) => row.chunks))
      return
    }
    await writeRecord(engine, lease, record)
  }
}

/** Deletes what no ledger row names, and marks the rows whose documents are missing or of another text: they are written again once read. */
async function repairSink(engine: Engine, lease: HeldLease): Promise<void> {
  const { key } = lease.claim
  const ledger = engine.state.ledger(key)
  const expected = new Map<string, { readonly message: MessageId; readonly textHash: string }>()
  for (const [message, { chunks, textHash }] of ledger) {
    for (const id of documentIds(engine.namespace, key, message, chunks.length)) expected.set(id, { message, textHash })
  }
  const orphans: string[] = []
  const held = await outside('SINK_FAILED', () => sinkIds(engine, key))
  for (const [id, textHash] of held) {
    if (!expected.has(id)) orphans.push(id)
    else if (expected.get(id)?.textHash === textHash) expected.delete(id)
  }
  for (const ids of pages(orphans, PAGE)) await writeRecord(engine, lease, deletionRecord(lease.claim, ids, [], engine.clock.now()))
  const lost = new Set([...expected.values()].map(({ message }) => message))
  const marked = entriesOf(ledger).flatMap(({ message, row }) =>
    lost.has(message) ? [{ message, row: { ...row, signature: '', textHash: '' } }] : [],
  )
  for (const page of pages(marked, PAGE)) await engine.state.commit(lease.claim, { ledger: page })
}

/** The documents of one session. A filter that names none would match every document, so it is refused. @throws StorageError INVALID_OPTION */
export async function sinkIds(engine: Engine, { agent, session }: SessionKey): Promise<Map<string, string>> {
  if (!isAgent(agent) || !isSafeId(session)) throw new StorageError('INVALID_OPTION', { reason: 'this key names no session' })
  const held = new Map<string, string>()
  for await (const { id, text_hash } of engine.sink.ids({ agent, session })) held.set(id, text_hash)
  return held
}
