/** Removal: every document of a session leaves the sinks of every space, page by page, through records like any other change. */
import { StorageError } from '../core/errors.js'
import type { MessageId } from '../core/ids.js'
import { encodeKey, type SessionKey } from '../core/keys.js'
import { type Engine, sinkOf } from './engine.js'
import type { HeldLease } from './lease.js'
import { deletionRecord, deletionRecords, pages } from './records.js'
import { writeRecord } from './sending.js'
import type { Claim, LedgerEntry, LedgerRow, WalRecord } from './state/rows.js'
import type { IndexStore } from './state/state.js'
import { heldDocuments } from './verify/held.js'

/** Rows of one ledger transaction, and deletions of one record. */
export const PAGE = 256

/**
 * T10: every document leaves the sink, also what no row names, then the session leaves the state. False when it is not gone any more.
 * Its vectors stay in the cache, where a fork of it finds them: those of excluded and forgotten sessions are taken out of it by `removeVectors`.
 */
export async function removeSession(engine: Engine, lease: HeldLease): Promise<boolean> {
  if (lease.claim.verify !== undefined) await removeHeld(engine, lease)
  await removeDocuments(engine, lease)
  return engine.state.remove(lease.claim)
}

/** An earlier owner may have written what no row names, also in another space than is worked in now. */
async function removeHeld(engine: Engine, lease: HeldLease): Promise<void> {
  const { key, space: own } = lease.claim
  for (const space of [own, ...(await otherSpaces(engine, lease.claim))]) {
    const held = await heldDocuments({ ...engine, sink: await sinkOf(engine, space) }, key)
    for (const ids of pages([...held.keys()], PAGE)) await writeRecord(engine, lease, deletionRecord({ key, space }, ids, [], engine.clock.now()))
  }
}

/**
 * Takes the vectors of sessions out of the cache, as long as the ledger and the pending records name them.
 * A text that another session shares is embedded again when it is next written.
 */
export async function removeVectors({ state, cache }: Engine, keys: readonly SessionKey[]): Promise<void> {
  if (cache === undefined || keys.length === 0) return
  const names = new Set(keys.map(encodeKey))
  const rows: LedgerRow[] = []
  // The ledger last: it has what a record held that is committed meanwhile.
  const pending = (await state.pending()).filter(({ key }) => names.has(encodeKey(key)))
  for (const { seq } of pending) rows.push(...((await intactRecord(state, seq))?.ledger ?? []).map(({ row }) => row))
  for (const { id } of await state.spaces()) for (const key of keys) rows.push(...(await state.ledger(key, id)).values())
  await cache.remove(rows.flatMap(({ chunks }) => chunks.filter((chunk) => chunk !== '')))
}

/** Undefined for one that is damaged, or that is no longer pending: it has nothing to name. */
export async function intactRecord(state: IndexStore, seq: number): Promise<WalRecord | undefined> {
  try {
    return await state.walRead(seq)
  } catch (error) {
    if (error instanceof StorageError && error.code === 'WAL_DAMAGED') return undefined
    throw error
  }
}

/** @throws StorageError SINK_FAILED when a space holds documents of the session and its sink is not at hand */
export async function removeDocuments(engine: Engine, lease: HeldLease): Promise<void> {
  const { key } = lease.claim
  for (const { id: space } of await engine.state.spaces()) {
    const removed = entriesOf(await engine.state.ledger(key, space))
    if (removed.length === 0) continue
    await sinkOf(engine, space)
    for (const record of deletionRecords(engine, { key, space }, removed, PAGE)) await writeRecord(engine, lease, record)
  }
}

/** The spaces beside the one that is worked in, as far as their sinks are at hand. */
export async function otherSpaces({ state, former }: Engine, { space }: Pick<Claim, 'space'>): Promise<readonly string[]> {
  return (await state.spaces()).flatMap((row) => (row.id !== space && former.some((sink) => sink.space === row.space) ? [row.id] : []))
}

export function entriesOf(ledger: ReadonlyMap<MessageId, LedgerRow>): LedgerEntry[] {
  return [...ledger].map(([message, row]) => ({ message, row }))
}
