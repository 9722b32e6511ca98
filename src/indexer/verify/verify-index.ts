/**
 * The three-way comparison: what the sessions say, what the ledger says and what the sink holds.
 *
 * Held in memory are the messages of one session, and a number for each document. A session whose revision moves meanwhile is not judged.
 */
import { createHash } from 'node:crypto'
import { encodeKey, type SessionKey } from '../../core/keys.js'
import type { Engine } from '../engine.js'
import { excluder, isWithheld, parentsOf } from '../exclusion.js'
import { outside } from '../faults.js'
import { observeAll } from '../observe.js'
import { documentIds, pages } from '../records.js'
import { drainQueue } from '../running/drain.js'
import type { SessionListing } from '../source.js'
import { type KnownSession, MAX_ID_BYTES } from '../state/state.js'
import { lookedAt, staysElsewhere } from '../whereabouts.js'
import type { IndexDifference, VerifyOptions, VerifyReport } from './verify.js'
import { inspectSession, type Wanted } from './verify-session.js'

type Found = Omit<VerifyReport, 'repaired'>

export async function verifyIndex(engine: Engine, hard: AbortSignal, { sessions, repair = false }: VerifyOptions): Promise<VerifyReport> {
  const found = await compareAll(engine, sessions)
  if (!repair || found.differences.length === 0) return { ...found, repaired: 0 }
  const drain = (): Promise<unknown> => drainQueue(engine, { signal: hard })
  await queueRepair(engine, found.differences)
  await drain()
  let { differences } = await compareAgain(engine, found.differences)
  const keys = keysOf(differences.filter(({ kind }) => kind !== 'orphan'))
  if (keys.length > 0) {
    // Where looking again was not enough, as for what changed without its signature, all of the session is written again.
    await engine.state.reset(keys)
    await drain()
    differences = (await compareAgain(engine, differences)).differences
  }
  return { ...found, differences, repaired: Math.max(0, found.differences.length - differences.length) }
}

function compareAgain(engine: Engine, differences: readonly IndexDifference[]): Promise<Found> {
  return compareAll(engine, differences.some(({ key }) => key === undefined) ? undefined : keysOf(differences))
}

async function queueRepair(engine: Engine, differences: readonly IndexDifference[]): Promise<void> {
  const { state } = engine
  await observeAll(engine, engine.stopping)
  const known = new Set((await state.sessions()).flatMap(({ key, gone }) => (gone ? [] : [encodeKey(key)])))
  const isSink = ({ kind }: IndexDifference): boolean => kind === 'missing' || kind === 'stale' || kind === 'orphan'
  await state.verify(keysOf(differences.filter(isSink)))
  await state.wake(keysOf(differences), 'fresh')
  // No claim would ever come to what belongs to no session of the state, nor a removal to what no row names.
  const strays = differences.flatMap(({ kind, key, document }) =>
    kind === 'orphan' && document !== undefined && (key === undefined || !known.has(encodeKey(key))) ? [document] : [],
  )
  for (const page of pages(strays, engine.limits.sinkBatchSize)) {
    await engine.breakers.sink.run(() => outside('SINK_FAILED', () => engine.sink.delete(page)))
  }
}

function keysOf(differences: readonly IndexDifference[]): SessionKey[] {
  return [...new Map(differences.flatMap(({ key }) => (key === undefined ? [] : [[encodeKey(key), key] as const]))).values()]
}

interface Candidate {
  readonly key: SessionKey
  readonly store: string | undefined
  readonly wanted: Wanted | 'unknown'
}

async function compareAll(engine: Engine, only: readonly SessionKey[] | undefined): Promise<Found> {
  const signal = engine.stopping
  const before = await engine.sessions.list(signal)
  const documents = new DocumentSet()
  const sums = { sessions: 0, messages: 0, documents: 0, unsettled: 0, quarantined: 0, leftOut: 0, unknown: 0 }
  const perSession = new Map<string, readonly IndexDifference[]>()
  for await (const { key, store, wanted } of candidates(engine, { listing: before, known: await engine.state.sessions() }, only)) {
    const found = wanted === 'unknown' ? undefined : await inspectSession(engine, key, wanted, { signal, store })
    if (found === undefined) {
      sums.unknown++
      if (only === undefined) documents.addAll(await idsOf(engine, key))
      continue
    }
    sums.sessions++
    sums.messages += found.messages
    sums.documents += found.held.length
    sums.unsettled += found.unsettled
    sums.quarantined += found.quarantined
    sums.leftOut += found.leftOut
    if (only === undefined) documents.addAll(found.held)
    if (found.differences.length > 0) perSession.set(encodeKey(key), found.differences)
  }
  if (perSession.size > 0) sums.unknown += withoutMoved(perSession, before, await engine.sessions.list(signal))
  const strays = only === undefined ? await strayDocuments(engine, documents) : []
  if (strays === undefined) sums.unknown++
  sums.documents += strays?.length ?? 0
  return { ...sums, differences: [...[...perSession.values()].flat(), ...(strays ?? [])] }
}

/** Of the sessions that are listed or known, what is to be in the index. */
async function* candidates(
  engine: Engine,
  { listing, known: sessions }: { readonly listing: SessionListing; readonly known: readonly KnownSession[] },
  only: readonly SessionKey[] | undefined,
): AsyncGenerator<Candidate> {
  const wantedNames = only && new Set(only.map(encodeKey))
  const isAsked = (key: SessionKey): boolean => wantedNames === undefined || wantedNames.has(encodeKey(key))
  const exclusion = engine.exclude()
  const isOut = excluder(exclusion, parentsOf(listing.sessions.map(({ meta }) => meta)))
  const known = new Map(sessions.map((session) => [encodeKey(session.key), session]))
  for (const session of listing.sessions) {
    const { meta } = session
    const { key, source } = meta
    const held = known.get(encodeKey(key))
    known.delete(encodeKey(key))
    if (!isAsked(key) || Buffer.byteLength(key.session) > MAX_ID_BYTES) continue
    const isOther = held !== undefined && (await staysElsewhere(engine, listing, held, session)) !== false
    const wanted = isOut(meta) ? 'none' : isWithheld(exclusion, meta) || isOther ? 'unknown' : 'all'
    yield { key, store: source.path, wanted }
  }
  for (const held of known.values()) if (isAsked(held.key)) yield { key: held.key, store: held.store, wanted: wantedOf(held, listing) }
}

/** Of one that is not listed. */
function wantedOf(held: KnownSession, listing: SessionListing): Candidate['wanted'] {
  return held.gone || lookedAt(listing, held)?.complete === true ? 'none' : 'unknown'
}

/** Drops what was found of sessions that a writer touched in between; gives their number. */
function withoutMoved(found: Map<string, unknown>, before: SessionListing, after: SessionListing): number {
  const revisions = (listing: SessionListing) => new Map(listing.sessions.map(({ meta, revision }) => [encodeKey(meta.key), revision]))
  const [old, now] = [revisions(before), revisions(after)]
  const moved = [...found.keys()].filter((name) => old.get(name) !== now.get(name))
  for (const name of moved) found.delete(name)
  return moved.length
}

async function idsOf(engine: Engine, key: SessionKey): Promise<string[]> {
  return [...(await engine.state.ledger(key))].flatMap(([message, { chunks }]) => documentIds(engine.namespace, key, message, chunks.length))
}

/** What the sink holds of this namespace and no session names. Undefined when others write at this moment, so that it cannot be told. */
async function strayDocuments(engine: Engine, seen: DocumentSet): Promise<readonly IndexDifference[] | undefined> {
  const { sink, state, namespace, breakers } = engine
  const strays = new Set<string>()
  await breakers.sink.run(() =>
    outside('SINK_FAILED', async () => {
      for await (const { id } of sink.ids()) if (id.startsWith(`${namespace}~`) && !seen.has(id)) strays.add(id)
    }),
  )
  if (strays.size === 0) return []
  const { queue, wal } = await state.status()
  if (queue.leased > 0 || wal.records > 0) return undefined
  // What was written since its session was looked at is in a ledger by now.
  for (const { key } of await state.sessions()) for (const id of await idsOf(engine, key)) strays.delete(id)
  return [...strays].map((document) => ({ kind: 'orphan', key: undefined, message: undefined, document }))
}

/** A set of document ids in 48 bits each: of a hundred million strays, one might hide behind one of a million other ids. */
class DocumentSet {
  readonly #numbers = new Set<number>()

  addAll(ids: readonly string[]): void {
    for (const id of ids) this.#numbers.add(numberOf(id))
  }

  has(id: string): boolean {
    return this.#numbers.has(numberOf(id))
  }
}

function numberOf(id: string): number {
  return createHash('sha256').update(id).digest().readUIntBE(0, 6)
}
