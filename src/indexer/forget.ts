/** Forgetting: a session leaves the sink, the WAL, the ledger and the cache, under a lease like any other change. */
import { StorageError } from '../core/errors.js'
import { isSafeId } from '../core/ids.js'
import { encodeKey, isAgent, type SessionKey } from '../core/keys.js'
import { type Engine, sinkOf } from './engine.js'
import { failureOf, outside } from './faults.js'
import { type HeldLease, holdLease } from './lease.js'
import type { Sink } from './ports.js'
import { deletionRecord, documentIds, pages } from './records.js'
import { intactRecord, otherSpaces, removeSession, removeVectors } from './remove.js'
import { applyRecord } from './sending.js'
import type { Claim } from './state/rows.js'
import { heldDocuments } from './verify/held.js'

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
    let documents = 0
    for (const sink of [engine.sink, ...engine.former]) documents += await deleteFrom(engine, sink, await idsIn(engine, sink, key), signal)
    return documents === 0 ? undefined : documents
  }
  try {
    await using lease = holdLease(claim, engine.state, engine.clock, signal)
    return await forgetUnder(engine, lease)
  } catch (error) {
    await engine.state
      .release(claim, signal.aborted ? { kind: 'stopped' } : { kind: 'failed', failure: failureOf(error), delayMs: 0 })
      // Somebody else has it now, and waits to hear that no deletion is under way any more.
      .catch(() => engine.state.lost(claim))
      .catch(() => undefined)
    throw error
  }
}

async function idsIn(engine: Engine, sink: Sink, key: SessionKey): Promise<Set<string>> {
  return new Set((await heldDocuments({ ...engine, sink }, key)).keys())
}

async function deleteFrom({ limits }: Engine, sink: Sink, ids: ReadonlySet<string>, signal: AbortSignal): Promise<number> {
  for (const page of pages([...ids], limits.sinkBatchSize)) await outside('SINK_FAILED', () => sink.delete(page, { signal }))
  return ids.size
}

/** Undefined when the state does not know the session. */
async function claimFor(engine: Engine, key: SessionKey, signal: AbortSignal): Promise<Claim | undefined> {
  const { state, clock, limits } = engine
  const deadline = clock.monotonic() + limits.forgetWaitMs
  for (;;) {
    const claim = await state.claim({ only: key, toDelete: true })
    if (claim !== undefined) return claim
    if (!(await state.sessions()).some((session) => encodeKey(session.key) === encodeKey(key))) return undefined
    if (clock.monotonic() >= deadline)
      throw new StorageError('LEASE_LOST', { reason: 'another process is indexing the session', key: encodeKey(key) })
    await clock.sleep(PAUSE_MS, signal)
    await state.sweep()
  }
}

async function forgetUnder(engine: Engine, lease: HeldLease): Promise<number> {
  const { state } = engine
  const { claim, signal } = lease
  const { key } = claim
  const atHand = [claim.space, ...(await otherSpaces(engine, claim))]
  // A damaged one names nothing; the sink names what it left there.
  const pending = claim.wal === undefined ? undefined : await intactRecord(state, claim.wal)
  // Of one space: no other sink was ever given what it holds.
  const space = pending?.space || claim.space
  const ids = atHand.includes(space) ? await idsIn(engine, await sinkOf(engine, space), key) : new Set<string>()
  let documents = ids.size
  for (const { id } of pending?.rows ?? []) ids.add(id)
  await forgetNamed(engine, claim, space, ids)
  await removeVectors(engine, [key])
  // What the ledger names goes page by page, in every space; the rest, which only the sink or the WAL knew, at once.
  const rest = [...ids]
  const seq = await state.forget(claim, rest, space)
  if (seq !== undefined) await applyRecord(engine, lease, seq, deletionRecord({ key, space }, rest, [], engine.clock.now()), false)
  for (const other of atHand) {
    if (other === space) continue
    const sink = await sinkOf(engine, other)
    const held = await idsIn(engine, sink, key)
    documents += held.size
    await forgetNamed(engine, claim, other, held)
    await lease.guard()
    await deleteFrom(engine, sink, held, signal)
  }
  if (!(await removeSession(engine, lease)))
    throw new StorageError('LEASE_LOST', { reason: 'the session was observed again meanwhile', key: encodeKey(claim.key) })
  return documents
}

/** Takes from `ids` what the ledger of the space names. */
async function forgetNamed({ state, namespace }: Engine, { key }: Claim, space: string, ids: Set<string>): Promise<void> {
  for (const [message, { chunks }] of await state.ledger(key, space)) {
    for (const id of documentIds(namespace, key, message, chunks.length)) ids.delete(id)
  }
}
