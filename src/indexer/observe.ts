/** Observation: a listing is compared with the state in memory, and only what differs is written. */
import { encodeKey, type SessionKey } from '../core/keys.js'
import { type Engine, isExcluded, metaHashOf, observedRevision } from './engine.js'
import { pages } from './records.js'
import type { SourceSession } from './source.js'
import { type KnownSession, MAX_ID_BYTES, type ObservedSession } from './state.js'

/** Sessions of one transaction. */
const PAGE = 256

export interface ObserveReport {
  readonly sessions: number
  /** New, changed, or to be looked at again. */
  readonly changed: number
  readonly excluded: number
  readonly removed: number
  /** Ids too long for the index. */
  readonly leftOut: number
  /** False: something could not be listed, so nothing was taken for deleted. */
  readonly complete: boolean
}

export async function observeAll(engine: Engine, signal?: AbortSignal): Promise<ObserveReport> {
  const { state, sessions } = engine
  const listing = await sessions.list(signal)
  signal?.throwIfAborted()
  const known = new Map(state.sessions().map((session) => [encodeKey(session.key), session]))
  const seen: ObservedSession[] = []
  const gone: SessionKey[] = []
  let excluded = 0
  let leftOut = 0
  for (const session of listing.sessions) {
    const { key } = session.meta
    const held = known.get(encodeKey(key))
    known.delete(encodeKey(key))
    if (Buffer.byteLength(key.session) > MAX_ID_BYTES) {
      leftOut++
      engine.progress({ kind: 'left-out', key, code: 'KEY_TOO_LONG' })
    } else if (isExcluded(engine.exclude, session.meta)) {
      excluded++
      if (held !== undefined && (!held.gone || held.stranded)) gone.push(key)
    } else if (held === undefined || isDue(engine, held, session)) {
      seen.push({ key, revision: observedRevision(session.revision, session.meta), meta: metaHashOf(session.meta) })
    }
  }
  const unlisted = [...known.values()]
  gone.push(...unlisted.filter((held) => held.gone && held.stranded).map(({ key }) => key))
  // A failed or partial listing proves nothing about what it lacks.
  const absent = listing.complete ? unlisted.filter((held) => !held.gone).map(({ key }) => key) : []
  const suspects: SessionKey[] = []
  for (const page of pages(seen, PAGE)) await state.observe({ seen: page, absent: [], gone: [] })
  for (const page of pages(absent, PAGE)) suspects.push(...(await state.observe({ seen: [], absent: page, gone: [] })))
  gone.push(...(await proveGone(engine, suspects)))
  for (const page of pages(gone, PAGE)) await state.observe({ seen: [], absent: [], gone: page })
  return { sessions: listing.sessions.length, changed: seen.length, excluded, removed: gone.length, leftOut, complete: listing.complete }
}

function isDue(engine: Engine, held: KnownSession, { revision, meta }: SourceSession): boolean {
  if (held.gone || held.stranded || held.missed > 0 || held.revision !== observedRevision(revision, meta)) return true
  const ageMs = engine.clock.now() - held.checkedAt
  return held.incomplete && (ageMs < 0 || ageMs >= engine.limits.incompleteRecheckMs)
}

/** Those of the sessions that the source, asked for each, says are certainly gone. */
async function proveGone(engine: Engine, keys: readonly SessionKey[]): Promise<SessionKey[]> {
  const gone: SessionKey[] = []
  for (const key of keys) {
    try {
      if ((await engine.sessions.revision(key)) === undefined) gone.push(key)
    } catch {
      // It cannot be told: the next complete listing asks again.
    }
  }
  return gone
}
