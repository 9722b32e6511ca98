/** Observation: a listing is compared with the state in memory, and only what differs is written. */
import { encodeKey, type SessionKey } from '../core/keys.js'
import { type Engine, metaHashOf, observedRevision } from './engine.js'
import { type Exclusion, excluder, isWithheld, parentsOf } from './exclusion.js'
import { pages } from './records.js'
import { removeVectors } from './remove.js'
import type { SessionListing, SourceSession } from './source.js'
import type { Claim } from './state/rows.js'
import { type KnownSession, MAX_ID_BYTES, type ObservedSession } from './state/state.js'
import { lookedAt, staysElsewhere } from './whereabouts.js'

/** Sessions of one transaction, at most. */
const MAX_PAGE = 256

export interface ObserveReport {
  readonly sessions: number
  /** New, changed, or to be looked at again. */
  readonly changed: number
  /** Left out, or withheld because nothing tells its folder while folders are excluded. */
  readonly excluded: number
  readonly removed: number
  /** Ids too long for the index. */
  readonly leftOut: number
  /** In the index, of stores that were not looked at or that failed: they stay as they are. */
  readonly elsewhere: number
  /** Of those the ones of which another store has an older copy, which does not take their place. */
  readonly behind: number
  /** False: a store could not be listed as a whole, so nothing of it was taken for deleted. */
  readonly complete: boolean
}

export async function observeAll(engine: Engine, signal?: AbortSignal): Promise<ObserveReport> {
  const { state } = engine
  const size = Math.min(MAX_PAGE, engine.limits.listPage)
  const listing = await listAll(engine, signal)
  const exclude = engine.exclude()
  const known = new Map((await state.sessions()).map((session) => [encodeKey(session.key), session]))
  const here = await compareListed(engine, listing, exclude, known)
  const others = compareUnlisted(listing, exclude, [...known.values()])
  for (const page of pages(here.seen, size)) await state.observe({ seen: page, gone: [] })
  const out = [...here.out, ...others.out]
  await removeVectors(engine, out)
  const gone = [...out, ...others.gone, ...(await proveGone(engine, others.absent))]
  for (const page of pages(gone, size)) await state.observe({ seen: [], gone: page })
  const report: ObserveReport = {
    sessions: listing.sessions.length,
    changed: here.changed,
    excluded: here.excluded + others.excluded,
    removed: gone.length,
    leftOut: here.leftOut,
    elsewhere: here.elsewhere + others.elsewhere,
    behind: here.behind,
    complete: listing.stores.every(({ complete }) => complete),
  }
  engine.progress({ kind: 'observed', report })
  return report
}

async function listAll(engine: Engine, signal: AbortSignal | undefined): Promise<SessionListing> {
  const listing = await engine.sessions.list(signal)
  signal?.throwIfAborted()
  engine.listed.clear()
  engine.parents.clear()
  for (const [name, parent] of parentsOf(listing.sessions.map(({ meta }) => meta))) engine.parents.set(name, parent)
  for (const { meta, revision } of listing.sessions) engine.listed.set(encodeKey(meta.key), observedRevision(revision, meta, engine.projectName))
  return listing
}

/**
 * What a claim answers may be another process's observation, newer than the listing that this process has: its title, or what it
 * hides, would be that of before, and nothing would make the session run again. False when it cannot be listed now.
 */
export async function catchUp(engine: Engine, { key, revision }: Claim, signal: AbortSignal): Promise<boolean> {
  if (engine.listed.get(encodeKey(key)) === revision) return true
  try {
    await listAll(engine, signal)
    return true
  } catch {
    signal.throwIfAborted()
    return false
  }
}

/** What started each session, where that decides whether it is out and nothing was listed yet. Where nothing can be listed, the ids alone decide. */
export async function learnParents(engine: Engine, signal: AbortSignal): Promise<void> {
  if (engine.listed.size > 0 || (engine.exclude().sessions ?? []).length === 0) return
  try {
    await listAll(engine, signal)
  } catch {
    signal.throwIfAborted()
  }
}

/** Takes from `known` what is listed. */
async function compareListed(engine: Engine, listing: SessionListing, exclude: Exclusion, known: Map<string, KnownSession>) {
  const seen: ObservedSession[] = []
  /** Excluded. */
  const out: SessionKey[] = []
  const counts = { changed: 0, excluded: 0, leftOut: 0, elsewhere: 0, behind: 0 }
  const isOut = excluder(exclude, engine.parents)
  for (const session of listing.sessions) {
    const { key, source } = session.meta
    const held = known.get(encodeKey(key))
    known.delete(encodeKey(key))
    if (Buffer.byteLength(key.session) > MAX_ID_BYTES) {
      counts.leftOut++
      engine.progress({ kind: 'left-out', key, code: 'KEY_TOO_LONG' })
      continue
    }
    if (isOut(session.meta)) {
      counts.excluded++
      if (held !== undefined && (!held.gone || held.stranded)) out.push(key)
      continue
    }
    if (isWithheld(exclude, session.meta)) {
      counts.excluded++
      continue
    }
    const stays = held !== undefined && !held.gone && (await staysElsewhere(engine, listing, held, session))
    if (stays !== false) {
      // The store that it was indexed from may have more of it than this copy.
      counts.elsewhere++
      if (stays === 'behind') counts.behind++
      continue
    }
    const due = held === undefined || isDue(engine, held, session)
    if (due) counts.changed++
    if (due || held.store !== source.path) {
      const revision = observedRevision(session.revision, session.meta, engine.projectName)
      seen.push({ key, revision, meta: metaHashOf(session.meta, engine.projectName), store: source.path })
    }
  }
  return { seen, out, ...counts }
}

/** A session counts as absent only when its own store, or one around it, was listed completely and lacks it. */
function compareUnlisted(listing: SessionListing, exclude: Exclusion, unlisted: readonly KnownSession[]) {
  const excludedIds = new Set(exclude.sessions)
  const gone: SessionKey[] = []
  const out: SessionKey[] = []
  const absent: KnownSession[] = []
  let excluded = 0
  let elsewhere = 0
  for (const held of unlisted) {
    if (held.gone) {
      if (held.stranded) gone.push(held.key)
    } else if (excludedIds.has(held.key.session)) {
      // Whatever became of its store.
      excluded++
      out.push(held.key)
    } else {
      const looked = lookedAt(listing, held)
      if (looked === undefined) elsewhere++
      else if (looked.complete) absent.push(held)
    }
  }
  return { gone, out, absent, excluded, elsewhere }
}

function isDue(engine: Engine, held: KnownSession, { revision, meta }: SourceSession): boolean {
  if (held.gone || held.stranded || held.revision !== observedRevision(revision, meta, engine.projectName)) return true
  const ageMs = engine.clock.now() - held.checkedAt
  return held.incomplete && (ageMs < 0 || ageMs >= engine.limits.incompleteRecheckMs)
}

/** Those of the sessions that the source, asked for each in one more listing, says are certainly gone. */
async function proveGone(engine: Engine, absent: readonly KnownSession[]): Promise<SessionKey[]> {
  const answers = await Promise.allSettled(absent.map(({ key, store }) => engine.sessions.revision(key, store)))
  // Where it cannot be told, the next observation asks again.
  return absent.flatMap(({ key }, at) => {
    const answer = answers[at]
    return answer?.status === 'fulfilled' && answer.value === undefined ? [key] : []
  })
}
