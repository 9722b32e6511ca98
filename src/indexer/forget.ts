/** Forgetting: a session leaves the sink, the WAL, the ledger and the cache, under a lease like any other change. */
import { StorageError } from '../core/errors.js'
import { isSafeId } from '../core/ids.js'
import { encodeKey, isAgent, type SessionKey } from '../core/keys.js'
import { embeddingKey } from './embed-cache.js'
import type { Engine } from './engine.js'
import { failureOf, outside } from './faults.js'
import { type HeldLease, holdLease } from './lease.js'
import { applyRecord, deletionRecord, documentIds, pages } from './records.js'
import { removeSession, sinkIds } from './run.js'
import type { Claim } from './state-rows.js'

const PAUSE_MS = 50

export interface ForgetReport {
  readonly sessions: number
  /** Documents that left the sink. */
  readonly documents: number
}

/** @throws StorageError INVALID_OPTION before anything is done; SINK_FAILED (the deletion is then pending), LEASE_LOST when another process keeps the session */
export async function forgetSessions(engine: Engine, keys: readonly SessionKey[], signal: AbortSignal): Promise<ForgetReport> {
  checkKeys(keys)
  let sessions = 0
  let documents = 0
  for (const key of keys) {
    const deleted = await forgetOne(engine, key, signal)
    if (deleted === undefined) continue
    sessions++
    documents += deleted
  }
  return { sessions, documents }
}

/** What names no session must not be taken for all of them. */
function checkKeys(keys: readonly unknown[]): asserts keys is readonly SessionKey[] {
  if (!Array.isArray(keys)) throw new StorageError('INVALID_OPTION', { reason: 'forget takes a list of session keys' })
  for (const [at, key] of keys.entries()) {
    const { kind, agent, session }: Partial<Record<keyof SessionKey, unknown>> = typeof key === 'object' && key !== null ? key : {}
    if (kind === 'session' && isAgent(agent) && isSafeId(session)) continue
    throw new StorageError('INVALID_OPTION', { reason: `forget takes session keys, such as the \`key\` of a session's meta; number ${at} is none` })
  }
}

async function forgetOne(engine: Engine, key: SessionKey, signal: AbortSignal): Promise<number | undefined> {
  const claim = await claimFor(engine, key, signal)
  if (claim === undefined) {
    const ids = [...(await outside('SINK_FAILED', () => sinkIds(engine, key))).keys()]
    for (const page of pages(ids, engine.limits.sinkBatchSize)) await outside('SINK_FAILED', () => engine.sink.delete(page, { signal }))
    return ids.length === 0 ? undefined : ids.length
  }
  try {
    await using lease = holdLease(claim, engine.state, engine.clock, signal)
    return await forgetUnder(engine, lease)
  } catch (error) {
    await engine.state
      .release(claim, signal.aborted ? { kind: 'stopped' } : { kind: 'failed', failure: failureOf(error), delayMs: 0 })
      .catch(() => undefined)
    throw error
  }
}

/** Undefined when the state does not know the session. */
async function claimFor(engine: Engine, key: SessionKey, signal: AbortSignal): Promise<Claim | undefined> {
  const { state, clock, limits } = engine
  const deadline = clock.monotonic() + limits.forgetWaitMs
  for (;;) {
    const claim = await state.claim({ only: key })
    if (claim !== undefined) return claim
    if (!state.sessions().some((session) => encodeKey(session.key) === encodeKey(key))) return undefined
    if (clock.monotonic() >= deadline)
      throw new StorageError('LEASE_LOST', { reason: 'another process is indexing the session', key: encodeKey(key) })
    await clock.sleep(PAUSE_MS, signal)
    await state.sweep()
  }
}

async function forgetUnder(engine: Engine, lease: HeldLease): Promise<number> {
  const { state, cache, namespace } = engine
  const { key } = lease.claim
  const inSink = await outside('SINK_FAILED', () => sinkIds(engine, key))
  const ids = new Set(inSink.keys())
  const vectors = new Set<string>()
  for (const { id, text } of pendingRows(engine, lease.claim)) {
    ids.add(id)
    vectors.add(embeddingKey(engine.embedder.space, 'document', text))
  }
  for (const [message, { chunks }] of state.ledger(key)) {
    for (const id of documentIds(namespace, key, message, chunks.length)) ids.delete(id)
    for (const chunk of chunks) vectors.add(chunk)
  }
  await cache?.remove([...vectors])
  // What the ledger names goes page by page; the rest, which only the sink or the WAL knew, in one record.
  const rest = [...ids]
  const seq = await state.forget(lease.claim, rest)
  if (seq !== undefined) await applyRecord(engine, lease, seq, deletionRecord(lease.claim, rest, [], engine.clock.now()), false)
  const ended = await removeSession(engine, lease)
  if (ended.kind !== 'removed') throw new StorageError('LEASE_LOST', { reason: 'the session was observed again meanwhile', key: encodeKey(key) })
  return inSink.size
}

/** A damaged record has no rows to name; the sink names what it left there. */
function pendingRows(engine: Engine, { wal }: Claim): readonly { readonly id: string; readonly text: string }[] {
  if (wal === undefined) return []
  try {
    return engine.state.walRead(wal).rows
  } catch (error) {
    if (error instanceof StorageError && error.code === 'WAL_DAMAGED') return []
    throw error
  }
}
