/** From messages to a durable record, and from the record to the sink. Safe to repeat from any point: the record holds all that is needed. */
import { StorageError } from '../core/errors.js'
import { EXCLUDED } from './embedding/embed-job.js'
import { type Engine, sinkOf } from './engine.js'
import { isExcluded, isWithheld } from './exclusion.js'
import { failureOf, faultOf, outside } from './faults.js'
import type { HeldLease } from './lease.js'
import type { Sink } from './ports.js'
import { type Messages, pages, upsertRecord, withdrawalOf } from './records.js'
import { spaceIdOf } from './space.js'
import type { Claim, Failure, LedgerEntry, WalRecord, WalRow } from './state/rows.js'

/**
 * Embeds the messages and writes them, those first whose texts were all embedded: nothing that was paid for is given up.
 * @throws what ended the embedding before the last of them: the failure of a service, or the reason of a stop
 */
export async function writeMessages(engine: Engine, lease: HeldLease, messages: Messages): Promise<void> {
  const { record, keys, ended } = await upsertRecord(engine, messages, lease)
  engine.failpoint('d')
  const isOut = messages.isOut()
  if (isOut) await engine.cache?.remove(keys)
  else if (record !== undefined) await writeRecord(engine, lease, record)
  if (ended !== undefined && !(isOut && ended.reason === EXCLUDED)) throw ended.reason
}

/** Once the engine is stopping, what is durable waits for the next run. @throws the reason of the stop */
export async function writeRecord(engine: Engine, lease: HeldLease, record: WalRecord): Promise<void> {
  if (!engine.walEnabled) return applyRecord(engine, lease, undefined, record, false)
  const seq = await engine.state.walAppend(lease.claim, record)
  engine.failpoint('e')
  await applyRecord(engine, lease, seq, record, false)
}

/** Brings the sink and the ledger one record on. Without a `seq` the record is nowhere but here, and no stop ends it. */
export async function applyRecord(engine: Engine, lease: HeldLease, seq: number | undefined, record: WalRecord, replayed: boolean): Promise<void> {
  const { state, failpoint, progress } = engine
  const stopping = seq === undefined ? lease.signal : engine.stopping
  const due = isLookedThrough(engine, record) ? record : withdrawalOf(record)
  const applied = (await hasSink(engine, record)) ? await send(engine, lease, due, stopping) : emptied(record)
  failpoint('g')
  await state.commit(lease.claim, seq === undefined ? { unlogged: applied } : { wal: { seq, record: applied, replayed } })
  failpoint('h')
  const { key, ledger, rows, deletes, embedded, cached, dead } = applied
  for (const { code } of dead) progress({ kind: 'quarantined', key, code })
  progress({ kind: 'committed', key, messages: ledger.length, documents: rows.length, deleted: deletes.length, embedded, cached, replayed })
}

/** False when it was made before the redactor was switched on: its texts may hold secrets, so its messages are read again. */
function isLookedThrough({ projectName }: Engine, record: WalRecord): boolean {
  return projectName === '' || record.rows.length === 0 || record.projectName === projectName
}

/** False once its space is gone, with its collection and its ledger. A record of the first version names none: it is for the one there was. */
async function hasSink({ state, embedder }: Engine, { space }: WalRecord): Promise<boolean> {
  return space === '' || space === spaceIdOf(embedder.space) || (await state.spaces()).some(({ id }) => id === space)
}

function emptied(record: WalRecord): WalRecord {
  return { ...record, rows: [], deletes: [], ledger: [], drop: [], dead: [], dimensions: 0, matrix: new Float32Array(0) }
}

/** Gives what became of the record: documents that the sink refuses are put aside, and of an excluded session nothing stays. */
async function send(engine: Engine, lease: HeldLease, record: WalRecord, stopping: AbortSignal): Promise<WalRecord> {
  const { limits, failpoint } = engine
  const sink = await sinkOf(engine, record.space)
  const upsertion: Upsertion = { engine, lease, sink, record, refused: new Map(), taken: 0, failed: 0, isOut: false }
  for (const page of pages(record.rows, limits.sinkBatchSize)) {
    stopping.throwIfAborted()
    await upsertPage(upsertion, page)
    if (upsertion.isOut) break
    failpoint('f')
  }
  // Those of a session that is gone because it is excluded went when that was observed.
  if (upsertion.isOut && !lease.claim.gone) await engine.cache?.remove(vectorsOf(record))
  const applied = upsertion.isOut ? withdrawalOf(record) : withoutRefused(record, upsertion.refused)
  for (const ids of pages(applied.deletes, limits.sinkBatchSize)) {
    stopping.throwIfAborted()
    await callSink(engine, lease, (signal) => sink.delete(ids, { signal }))
    failpoint('k')
  }
  return applied
}

/** By what the documents carry, and by what the state last knew; what the session has become since is for the reading to find out. */
function mustLeave(engine: Engine, claim: Claim, { rows: [first] }: WalRecord): boolean {
  if (first === undefined) return false
  const { project_id: project, directory } = first.metadata
  const exclusion = engine.exclude()
  return claim.gone || isExcluded(exclusion, { key: claim.key, project, directory }, engine.parents) || isWithheld(exclusion, { directory })
}

interface Upsertion {
  readonly engine: Engine
  readonly lease: HeldLease
  readonly sink: Sink
  readonly record: WalRecord
  readonly refused: Map<WalRow, Failure>
  /** Documents that the sink took. */
  taken: number
  /** Calls that failed in a way that tells nothing. */
  failed: number
  /** The session is to leave; nothing more is written of it. */
  isOut: boolean
}

/** A record that failed so often in a way that tells nothing is searched for the document that makes it fail. */
const PATIENCE = 5
/** Calls until one must have got through, else it is no document's fault. */
const SEARCH = 24

/** A page that is refused is sent without the document that the sink names, or else in halves, until those that are refused stand alone. */
async function upsertPage(upsertion: Upsertion, rows: readonly WalRow[]): Promise<void> {
  const { engine, lease, sink, record, refused } = upsertion
  const { dimensions, matrix } = record
  const given = rows.map(({ id, text, vector, metadata }) => ({
    id,
    text,
    metadata,
    vector: matrix.subarray(vector * dimensions, (vector + 1) * dimensions),
  }))
  try {
    // Asked when its turn has come, since others may have taken long.
    const isDue = (): boolean => {
      upsertion.isOut ||= mustLeave(engine, lease.claim, record)
      return !upsertion.isOut
    }
    if (await callSink(engine, lease, (signal) => sink.upsert(given, { signal }), isDue)) upsertion.taken += rows.length
  } catch (error) {
    if (lease.signal.aborted || !isRefusal(upsertion, rows, error)) throw error
    const named = error instanceof StorageError ? rows.find(({ id }) => id === error.key) : undefined
    const culprit = rows.length === 1 ? rows[0] : named
    if (culprit !== undefined) refused.set(culprit, failureOf(error))
    const middle = Math.ceil(rows.length / 2)
    const rest = culprit === undefined ? [rows.slice(0, middle), rows.slice(middle)] : [rows.filter((row) => row !== culprit)]
    for (const part of rest) if (part.length > 0) await upsertPage(upsertion, part)
  }
}

function isRefusal(upsertion: Upsertion, rows: readonly WalRow[], error: unknown): boolean {
  const fault = faultOf(error)
  if (fault !== 'unknown' || upsertion.lease.claim.failures < PATIENCE) return fault === 'text'
  upsertion.failed++
  // Of a document that stands alone nothing is known while the sink took no other.
  return upsertion.taken > 0 || (rows.length > 1 && upsertion.failed < SEARCH)
}

/** One call of a sink at a time, through the breaker, and only while the lease lasts. False when it was not due any more when its turn came. */
export function callSink(engine: Engine, lease: HeldLease, call: (signal: AbortSignal) => Promise<void>, isDue = () => true): Promise<boolean> {
  const { signal } = lease
  return engine.sinkTurn(async () => {
    await lease.guard()
    if (!isDue()) return false
    await engine.breakers.sink.run(() => outside('SINK_FAILED', () => call(signal)), signal)
    return true
  }, signal)
}

/** An older document of the same id must not stay in the place of one that was refused. */
function withoutRefused(record: WalRecord, refused: ReadonlyMap<WalRow, Failure>): WalRecord {
  if (refused.size === 0) return record
  const rows = [...refused.keys()]
  return {
    ...record,
    rows: record.rows.filter((row) => !refused.has(row)),
    deletes: [...record.deletes, ...rows.map(({ id }) => id)],
    ledger: record.ledger.map((entry) => withoutChunks(entry, rows)),
    dead: [
      ...record.dead,
      ...record.ledger.flatMap(({ message }) =>
        [...refused].flatMap(([row, failure]) => (isOf(row, message) ? [{ message, chunk: row.metadata.chunk, ...failure }] : [])),
      ),
    ],
  }
}

function withoutChunks(entry: LedgerEntry, rows: readonly WalRow[]): LedgerEntry {
  const gone = new Set(rows.flatMap((row) => (isOf(row, entry.message) ? [row.metadata.chunk] : [])))
  if (gone.size === 0) return entry
  return { ...entry, row: { ...entry.row, state: 'quarantined', chunks: entry.row.chunks.map((key, chunk) => (gone.has(chunk) ? '' : key)) } }
}

function isOf({ metadata }: WalRow, message: string): boolean {
  return metadata.message_id === message
}

/** The embedding keys of what the record writes. */
export function vectorsOf({ ledger }: WalRecord): string[] {
  return ledger.flatMap(({ row }) => row.chunks.filter((key) => key !== ''))
}
