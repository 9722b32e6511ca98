/** Where an indexed session is now: whether the store that it was last listed in was looked at, and whether a copy elsewhere may take its place. */
import { lstatSync, realpathSync } from 'node:fs'
import { basename, dirname, join, sep } from 'node:path'
import { StorageError, systemCode } from '../core/errors.js'
import { type Agent, encodeKey } from '../core/keys.js'
import type { Engine } from './engine.js'
import type { ListedStore, SessionListing, SourceSession } from './source.js'
import type { LedgerRow } from './state/rows.js'
import type { KnownSession } from './state/state.js'

type Held = Pick<KnownSession, 'key' | 'store'>

/** The listed store in which what a session was last listed in was looked at; undefined when none was. */
export function lookedAt({ stores, around }: Pick<SessionListing, 'stores' | 'around'>, { key, store }: Held): ListedStore | undefined {
  return stores.find(({ path }) => path === store) ?? around?.(store, key.agent)
}

/**
 * Where the store is that a session of the index, which is listed in the store `source`, was last listed in: `here` is the one that says what
 * the session is now, of an `unknown` one nobody can tell what it holds, and an `away` one was not looked at.
 */
export function whereIs(listing: Pick<SessionListing, 'stores' | 'around' | 'isUnknown'>, held: Held, source: string): 'here' | 'unknown' | 'away' {
  if (held.store === '' || held.store === source) return 'here'
  if (listing.isUnknown?.(held.store, held.key) === true) return 'unknown'
  const looked = lookedAt(listing, held)
  if (looked === undefined) return 'away'
  // What hides the place itself was told by `isUnknown`; what hides another one in the store around it says nothing of a session that this lists.
  return looked.complete || looked.path === source ? 'here' : 'unknown'
}

/**
 * Whether a session that is listed in another store than before stays as it is indexed: `behind` when that lists an older copy,
 * `unknown` when its own store may have more.
 */
export async function staysElsewhere(
  engine: Engine,
  listing: SessionListing,
  held: Held,
  session: SourceSession,
): Promise<'behind' | 'unknown' | false> {
  const where = whereIs(listing, held, session.meta.source.path)
  if (where === 'away') return behindOf(engine, session)
  return where === 'unknown' ? 'unknown' : false
}

/** Of each copy it is worked out once: what is indexed of a session grows only while it is not elsewhere. */
async function behindOf(engine: Engine, { meta: { key }, revision }: SourceSession): Promise<'behind' | 'unknown' | false> {
  const name = encodeKey(key)
  if (engine.behind.get(name) === revision) return 'behind'
  const rows = new Map<string, LedgerRow>()
  for (const { id } of await engine.state.spaces()) for (const [message, row] of await engine.state.ledger(key, id)) rows.set(message, row)
  const lacking = rows.size > 0 && (await lacks(engine, key, rows))
  if (lacking === true) engine.behind.set(name, revision)
  else engine.behind.delete(name)
  return lacking === true ? 'behind' : lacking
}

/** Whether the copy ends before what is indexed does, and lacks some of it; unknown while it cannot be read. */
async function lacks({ sessions }: Engine, key: SourceSession['meta']['key'], rows: ReadonlyMap<string, LedgerRow>): Promise<boolean | 'unknown'> {
  if (sessions.messages === undefined) return false
  try {
    const messages = await sessions.messages(key)
    const ids = new Set<string>(messages.map(({ id }) => id))
    if ([...rows.keys()].every((id) => ids.has(id))) return false
    const last = (times: readonly number[]): number => times.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY)
    return last(messages.map(({ created }) => created)) < last([...rows.values()].flatMap(createdOf))
  } catch (error) {
    if (error instanceof StorageError) return 'unknown'
    throw error
  }
}

/** As `documentMeta` notes it. */
function createdOf({ meta }: LedgerRow): readonly number[] {
  const created = Number(meta.split(' ')[2])
  return Number.isFinite(created) ? [created] : []
}

export interface PlacedStore extends ListedStore {
  readonly agent: Agent
}

/**
 * A listing's `around`: stores are compared by what their links lead to. A log, or a folder of logs, that was a store of its own lies inside
 * the store of its agent. Each path is looked up once.
 */
export function placesOf(stores: readonly PlacedStore[]): NonNullable<SessionListing['around']> {
  let listed: readonly { readonly store: PlacedStore; readonly place: string | undefined }[] | undefined
  const places = new Map<string, string | undefined>()
  return (path, agent) => {
    if (!places.has(path)) places.set(path, placeOf(path))
    const place = places.get(path)
    if (place === undefined) return undefined
    listed ??= stores.map((store) => ({ store, place: placeOf(store.path) }))
    const found = listed.filter((one) => one.place !== undefined && holds(one.store, one.place, place, agent)).map(({ store }) => store)
    return found.find(({ complete }) => complete) ?? found[0]
  }
}

function holds(store: PlacedStore, own: string, place: string, agent: Agent): boolean {
  if (store.agent !== agent) return false
  return own === place || (agent !== 'opencode' && place.startsWith(own + sep))
}

/** The path without links, also of what is not there any more; undefined where a link leads nowhere, or a folder cannot be looked into. */
function placeOf(path: string): string | undefined {
  try {
    return realpathSync(path)
  } catch (error) {
    if (systemCode(error) !== 'ENOENT' || isThere(path) || dirname(path) === path) return undefined
    const above = placeOf(dirname(path))
    return above === undefined ? undefined : join(above, basename(path))
  }
}

function isThere(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined
}
