/**
 * One claim: the pending record first, then what the session needs, in records that are durable before the sink sees them.
 *
 * A failure of the sink leaves its record where it is, so the next claim sends it again without embedding.
 */
import { StorageError } from '../core/errors.js'
import type { MessageId } from '../core/ids.js'
import { encodeKey } from '../core/keys.js'
import { diffSession, type Work } from './diff.js'
import { backoffMs, type Engine, failureOf, isExcluded, metaHashOf, outside } from './engine.js'
import { type HeldLease, holdLease } from './lease.js'
import { applyRecord, deletionRecord, deletionRecords, documentIds, inBatches, pages, upsertRecord, writeRecord } from './records.js'
import type { SessionTail } from './source.js'
import type { Claim, LedgerEntry, LedgerRow, Outcome, WalRecord } from './state.js'

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
    if (concernsState(error)) {
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
function concernsState(error: unknown): boolean {
  return error instanceof StorageError && (error.code === 'STATE_TOO_NEW' || error.code === 'STATE_DAMAGED' || error.code === 'STATE_UNAVAILABLE')
}

async function indexSession(engine: Engine, lease: HeldLease): Promise<Ended> {
  const { claim } = lease
  if (claim.wal !== undefined && !(await drainPending(engine, lease, claim.wal))) return { kind: 'done', more: true }
  if (claim.gone) return removeSession(engine, lease)
  const ledger = engine.state.ledger(claim.key)
  const lookAgain = claim.verify === undefined ? new Set<MessageId>() : await repairSink(engine, lease, ledger)
  const tail = await engine.sessions.tail(
    claim.key,
    ({ message }) => knownSignature(ledger.get(message), claim.meta, lookAgain.has(message)),
    lease.signal,
  )
  const excluded = isExcluded(engine.exclude, tail.meta)
  const meta = metaHashOf(tail.meta)
  const { limits, clock } = engine
  const work = diffSession({ ledger, tail, excluded, meta, repair: lookAgain, now: clock.now(), quantum: limits.quantum }, limits)
  await carryOut(engine, lease, tail, meta, work)
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
  await applyRecord(engine, lease, seq, record, true)
  return true
}

/** T10: every document leaves the sink, page by page, then the session leaves the state. */
export async function removeSession(engine: Engine, lease: HeldLease): Promise<Ended> {
  const { claim } = lease
  const removed = entriesOf(engine.state.ledger(claim.key))
  for (const record of deletionRecords(engine, claim.key, removed, PAGE)) await writeRecord(engine, lease, record)
  return (await engine.state.remove(claim)) ? { kind: 'removed' } : { kind: 'done', more: true }
}

function entriesOf(ledger: ReadonlyMap<MessageId, LedgerRow>): LedgerEntry[] {
  return [...ledger].map(([message, row]) => ({ message, row }))
}

/** Undefined makes the source hand the message over. */
function knownSignature(row: LedgerRow | undefined, meta: string, lookAgain: boolean): string | undefined {
  if (row === undefined || row.state === 'volatile' || row.meta !== meta || lookAgain) return undefined
  return row.signature === '' ? undefined : row.signature
}

async function carryOut(engine: Engine, lease: HeldLease, tail: SessionTail, meta: string, work: Work): Promise<void> {
  const { state, limits } = engine
  for (const ledger of pages(work.notes, PAGE)) await state.commit(lease.claim, { ledger })
  for (const record of deletionRecords(engine, lease.claim.key, work.removed, PAGE)) await writeRecord(engine, lease, record)
  for (const batch of inBatches(work.upserts, limits.batchSize)) {
    const record = await upsertRecord(engine, batch, tail.meta, meta, lease.signal)
    engine.failpoint('d')
    await writeRecord(engine, lease, record)
  }
}

/** Deletes what no ledger row names, and gives the messages whose documents are missing or of another text. */
async function repairSink(engine: Engine, lease: HeldLease, ledger: ReadonlyMap<MessageId, LedgerRow>): Promise<Set<MessageId>> {
  const { key } = lease.claim
  const expected = new Map<string, { readonly message: MessageId; readonly textHash: string }>()
  for (const [message, { chunks, textHash }] of ledger) {
    for (const id of documentIds(engine.namespace, key, message, chunks.length)) expected.set(id, { message, textHash })
  }
  const orphans: string[] = []
  const held = await outside('SINK_FAILED', () => sinkIds(engine, key.agent, key.session))
  for (const [id, textHash] of held) {
    if (!expected.has(id)) orphans.push(id)
    else if (expected.get(id)?.textHash === textHash) expected.delete(id)
  }
  for (const ids of pages(orphans, PAGE)) await writeRecord(engine, lease, deletionRecord(key, ids, [], engine.clock.now()))
  return new Set([...expected.values()].map(({ message }) => message))
}

export async function sinkIds(engine: Engine, agent: string, session: string): Promise<Map<string, string>> {
  const held = new Map<string, string>()
  for await (const { id, text_hash } of engine.sink.ids({ agent, session })) held.set(id, text_hash)
  return held
}
