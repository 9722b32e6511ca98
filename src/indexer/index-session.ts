/**
 * What is done under a claim: the pending record first, then what the session needs, in records that are durable before the sink sees them.
 *
 * A failure of the sink leaves its record where it is, so the next claim sends it again without embedding.
 */
import { StorageError } from '../core/errors.js'
import type { MessageId } from '../core/ids.js'
import { encodeKey } from '../core/keys.js'
import { following } from '../core/signals.js'
import { diffSession, removedMessages, type Work } from './diff.js'
import { carries, type Engine, metaHashOf } from './engine.js'
import { isExcluded, isWithheld } from './exclusion.js'
import { isIsolated, oneAtATime } from './isolate.js'
import type { HeldLease } from './lease.js'
import { catchUp } from './observe.js'
import { deletionRecords, inBatches, pages } from './records.js'
import { otherSpaces, PAGE, removeDocuments, removeSession, removeVectors } from './remove.js'
import { repairSink } from './repair.js'
import { applyRecord, writeMessages, writeRecord } from './sending.js'
import { HYDRATED, type SessionTail } from './source.js'
import { isPutAside, type LedgerRow, type Outcome, type WalRecord } from './state/rows.js'

export type Ended = Outcome | { readonly kind: 'removed' } | { readonly kind: 'lost' }

export interface RunMode {
  /** Only sends the pending record, or the deletions of a session that is gone; reads no session and embeds nothing. */
  readonly replayOnly?: boolean | undefined
  /** Resolves once no other claim of this process runs. A death must tell which message it came from. */
  readonly alone?: (() => Promise<unknown>) | undefined
}

export async function indexSession(engine: Engine, lease: HeldLease, { replayOnly = false, alone }: RunMode = {}): Promise<Ended> {
  const { claim } = lease
  engine.stopping.throwIfAborted()
  if (claim.wal !== undefined && !(await drainPending(engine, lease, claim.wal))) return { kind: 'done', more: true }
  if (claim.gone) return (await removeSession(engine, lease)) ? { kind: 'removed' } : { kind: 'done', more: true }
  if (replayOnly) return { kind: 'done', more: true }
  refuseWhileDown(engine)
  if (isIsolated(claim)) await alone?.()
  if (claim.verify !== undefined) await repairSink(engine, lease)
  return readOn(engine, lease)
}

/** What cannot be embedded is not read either. @throws StorageError the failure that the embedder is down with */
function refuseWhileDown({ breakers: { embedder } }: Engine): void {
  const { failure } = embedder.status()
  if (embedder.retryInMs() > 0 && failure !== undefined) throw new StorageError('EMBEDDER_UNAVAILABLE', { reason: failure.reason })
}

/** False when the record was damaged and put aside. @throws StorageError STATE_TOO_NEW: a newer record is left alone */
async function drainPending(engine: Engine, lease: HeldLease, seq: number): Promise<boolean> {
  const { claim } = lease
  let record: WalRecord
  try {
    record = await engine.state.walRead(seq)
    if (encodeKey(record.key) !== encodeKey(claim.key)) throw new StorageError('WAL_DAMAGED', { reason: 'a record names another session' })
  } catch (error) {
    if (!(error instanceof StorageError) || error.code !== 'WAL_DAMAGED') throw error
    await engine.state.quarantine(claim, seq)
    engine.progress({ kind: 'quarantined', key: claim.key, code: error.code })
    return false
  }
  await applyRecord(engine, lease, seq, record, true)
  return true
}

/** What the pages of a session came to. */
interface Progress {
  written: number
  volatile: number
  leftOut: number
  complete: boolean
  more: boolean
}

/** Reads the session page by page, until it ends or the quantum does. */
async function readOn(engine: Engine, lease: HeldLease): Promise<Ended> {
  const { claim } = lease
  const { limits, sessions, state } = engine
  using either = following(lease.signal, engine.stopping)
  const { signal } = either
  const bytes = Math.ceil(limits.maxInflightBytes / (HYDRATED * limits.concurrency))
  // What an older listing makes of the session is to be looked at again.
  const complete = await catchUp(engine, claim, signal)
  const done: Progress = { written: 0, volatile: 0, leftOut: 0, complete, more: false }
  let after: MessageId | undefined
  do {
    const ledger = await state.ledger(claim.key, claim.space)
    const known = ({ message }: { readonly message: MessageId }) => knownSignature(ledger.get(message), lease)
    const tail = await sessions.tail(claim.key, known, { signal, store: claim.store, bytes, after, deep: claim.verify !== undefined })
    // Looked at again should a folder be found, or no folder be excluded any more.
    if (isWithheld(engine.exclude(), tail.meta)) return { kind: 'done', incomplete: true, verified: claim.verify }
    const isOut = (): boolean => isExcluded(engine.exclude(), tail.meta, engine.parents)
    if (!isOut()) await indexPage(engine, lease, { tail, ledger, isOut, first: after === undefined }, done)
    if (isOut()) {
      await removeVectors(engine, [claim.key])
      await removeDocuments(engine, lease)
      // To be read again should the exclusion be taken back before an observation notes it.
      return { kind: 'done', incomplete: true, verified: claim.verify }
    }
    after = tail.more?.after
  } while (after !== undefined && !done.more)
  if (done.leftOut > 0) engine.progress({ kind: 'left-out', key: claim.key, code: 'KEY_TOO_LONG' })
  if (done.more || claim.probe !== undefined) return { kind: 'done', more: true }
  return {
    kind: 'done',
    recheckMs: done.volatile > 0 ? limits.settleRecheckMs : undefined,
    incomplete: !done.complete,
    verified: claim.verify,
    leftOut: done.leftOut,
  }
}

export interface Page {
  readonly tail: SessionTail
  readonly ledger: ReadonlyMap<MessageId, LedgerRow>
  /** Excluded meanwhile: what is under way ends without documents. */
  readonly isOut: () => boolean
  readonly first: boolean
}

async function indexPage(engine: Engine, lease: HeldLease, page: Page, done: Progress): Promise<void> {
  const { limits } = engine
  if (page.first) await removeElsewhere(engine, lease, page.tail)
  const steps = isIsolated(lease.claim) ? oneAtATime(engine, lease, page) : [page]
  for await (const step of steps) {
    const work = await diffPage(engine, step, limits.quantum - done.written)
    await carryOut(engine, lease, step, work)
    done.written += work.upserts.length
    done.volatile += work.volatile
    done.leftOut += work.leftOut
    done.more ||= work.more
    if (done.more || page.isOut()) break
  }
  done.complete &&= page.tail.complete
  done.more ||= done.written >= limits.quantum && page.tail.more !== undefined
}

function diffPage({ clock, limits, project, projectName, stopping }: Engine, { tail, ledger }: Page, quantum: number): Promise<Work> {
  const meta = metaHashOf(tail.meta, projectName)
  return diffSession({ ledger, tail, meta, now: clock.now(), quantum, project, signal: stopping }, limits)
}

/** Undefined makes the source hand the message over. */
function knownSignature(row: LedgerRow | undefined, { claim }: HeldLease): string | undefined {
  if (row === undefined || row.state === 'volatile') return undefined
  // Its documents carry nothing, since it has none.
  if (!isPutAside(row) && !carries(row.meta, claim.meta)) return undefined
  // What was left of a damaged message keeps its signature when another store turns out to have it whole; only reading it tells.
  if (row.partial === true && claim.lane === 'scan') return undefined
  return row.signature === '' ? undefined : row.signature
}

/** What a session does not show any more leaves the other spaces that are at hand, too; those that are not are deleted as a whole one day. */
async function removeElsewhere(engine: Engine, lease: HeldLease, tail: SessionTail): Promise<void> {
  const { key } = lease.claim
  for (const space of await otherSpaces(engine, lease.claim)) {
    const removed = removedMessages(tail, await engine.state.ledger(key, space))
    for (const record of deletionRecords(engine, { key, space }, removed, PAGE)) await writeRecord(engine, lease, record)
  }
}

/** Stops where it stands once the session is out. */
async function carryOut(engine: Engine, lease: HeldLease, { tail, ledger, isOut }: Page, work: Work): Promise<void> {
  const { state } = engine
  if (isOut()) return
  for (const record of deletionRecords(engine, lease.claim, work.removed, PAGE)) await writeRecord(engine, lease, record)
  for (const batch of inBatches(work.upserts, engine)) {
    if (isOut()) return
    engine.stopping.throwIfAborted()
    await writeMessages(engine, lease, { batch, meta: tail.meta, isOut })
  }
  // Last, lest they pass for progress of a session that ends its owners at each attempt.
  const now = work.notes.length === 0 ? ledger : await state.ledger(lease.claim.key, lease.claim.space)
  // What somebody marked to be read again meanwhile stays marked.
  const notes = work.notes.filter(({ message }) => now.get(message)?.signature !== '' || ledger.get(message)?.signature === '')
  for (const page of pages(notes, PAGE)) await state.commit(lease.claim, { ledger: page })
}
