/**
 * Versions of the sessions in a database: `<row>|<sequence>|<messages>|<window>~<rest>`. By the window, which is of the last messages, the
 * next process tells whether they were written to since; the rest moves with what was found of others, and is left out where nothing was.
 * `session.time_updated` tells nothing here: it moves neither with messages nor with parts, and titles and archiving leave it as it is.
 */
import { fingerprint } from '../fingerprint.js'
import { isBefore } from '../generation.js'
import type { SessionEntry } from '../listing.js'
import type { SqliteConnection } from './connection.js'
import type { Layout } from './layouts.js'
import { unlessMissing } from './records.js'
import { type SessionWindow, type TableTail, windowsOf } from './tails.js'

/** A session is hot for so many milliseconds after a write to it. */
const HOT_MS = 10 * 60_000
/** So many sessions are hot at most, the ones touched last. */
const MOST_HOT = 32
/** So many of those that were hot when an earlier process listed them are looked at once more. */
const MOST_COOLED = 256

/** What was found of writes to messages and parts. */
export interface Touched {
  /** With new rows. */
  readonly ids: ReadonlySet<string>
  /** With new parts. */
  readonly parts: ReadonlySet<string>
  /** Of `event_sequence`, by session: all of them, or those that moved. */
  readonly sequences: ReadonlyMap<string, string> | undefined
  /** Messages by session; undefined where they are as before, but for those with new rows. */
  readonly counts: ReadonlyMap<string, string> | undefined
  /** Moves with every new part. */
  readonly salt: string
}

/** What is remembered of the looks at last messages, in this process. */
export interface Windows {
  /** When this process listed the database first, epoch milliseconds. */
  readonly since: number
  /** Sessions, and when they were last seen to be written to, epoch milliseconds. */
  readonly hot: ReadonlyMap<string, number>
  /** Fingerprints by session, of the last messages. */
  readonly last: ReadonlyMap<string, string>
  /** Fingerprints by session, of all messages and parts. */
  readonly whole: ReadonlyMap<string, Whole>
}

/** All messages and parts of a session. */
export interface Whole {
  readonly fingerprint: string
  /** When one of their rows was written to last, epoch milliseconds. */
  readonly updated: number
}

export const NO_WINDOWS: Windows = { since: 0, hot: new Map(), last: new Map(), whole: new Map() }

/** When the sessions were touched that are hot, the one touched last first. */
export function hotSessions(
  entries: readonly SessionEntry[],
  ends: TableTail,
  windows: Windows | undefined,
  now: number,
): ReadonlyMap<string, number> {
  const ended = new Map<string, number>()
  for (const { session, updated } of ends) ended.set(session, Math.max(updated, ended.get(session) ?? 0))
  const hot: [string, number][] = []
  for (const { key, record } of entries) {
    const touched = Math.max(record?.time.updated ?? 0, ended.get(key.session) ?? 0, windows?.hot.get(key.session) ?? 0)
    if (touched > now - HOT_MS) hot.push([key.session, touched])
  }
  return new Map(hot.sort((a, b) => b[1] - a[1]).slice(0, MOST_HOT))
}

export function wholeOf(connection: SqliteConnection, { revision }: Layout, entries: readonly SessionEntry[]): ReadonlyMap<string, Whole> {
  const wholeOfSession = (session: string): Whole => {
    const rows = revision.map((sql) => connection.all(sql, session))
    // Every one of these queries gives the last time of writing in its second column.
    const updated = rows.flat().map(([, time]) => Number(time ?? 0))
    return { fingerprint: fingerprint(JSON.stringify(rows)), updated: Math.max(0, ...updated) }
  }
  return new Map(entries.map(({ key }) => [key.session, wholeOfSession(key.session)]))
}

interface Stamping {
  readonly entries: readonly SessionEntry[]
  readonly held: ReadonlyMap<string, SessionEntry>
  readonly touched: Touched
  /** Known to be written to by the caller. */
  readonly forced: ReadonlySet<string>
  readonly hot: ReadonlyMap<string, number>
  /** To be looked at besides. */
  readonly looked: ReadonlySet<string>
  /** Undefined after a listing of another process. */
  readonly windows: Windows | undefined
  readonly whole: ReadonlyMap<string, Whole> | undefined
  readonly now: number
}

/** The entries with their versions; the same object where nothing moved. */
export function stampRows(
  connection: SqliteConnection,
  layout: Layout,
  stamping: Stamping,
): { readonly entries: readonly SessionEntry[]; readonly windows: Windows } {
  const { entries, held, touched, forced, hot, windows, whole, now } = stamping
  const isNews = newsAgainst(stamping)
  const known = new Set<string>(entries.map(({ key }) => key.session))
  const told = touched.counts === undefined ? [...touched.ids, ...(touched.sequences?.keys() ?? [])] : [...known]
  const news = new Set(told.filter((id) => known.has(id) && isNews(id)))
  const wanted = new Set([...news, ...forced, ...stamping.looked, ...hot.keys(), ...(windows?.hot.keys() ?? cooled(held, entries))])
  const looked = unlessMissing(() => windowsOf(connection, layout, [...wanted])) ?? new Map<string, SessionWindow>()
  const last = new Map(windows?.last)
  // Of these versions all fields are known to be those of before.
  const isKnown = windows !== undefined && whole === undefined && touched.counts === undefined
  const stamped = entries.map((entry) => {
    const id = entry.key.session
    const old = held.get(id)
    if (isKnown && entry === old && !looked.has(id) && touched.sequences?.has(id) !== true) return old
    const said = fieldsOf(old?.version)
    const seen = looked.get(id)
    const window = seen && fingerprint(seen.window)
    const baseline = last.get(id) ?? (said?.window || undefined)
    if (window !== undefined) last.set(id, window)
    const sequence = touched.sequences?.get(id) ?? said?.sequence ?? ''
    const count = seen?.count ?? touched.counts?.get(id) ?? said?.count ?? ''
    let shown = said?.window ?? window ?? ''
    let rest = said?.rest ?? ''
    if (said !== undefined && window !== undefined) {
      // An earlier process did not find it hot.
      const isLater = windows === undefined && hot.has(id)
      if (baseline === undefined ? isLater || news.has(id) || forced.has(id) || count !== said.count : baseline !== window) shown = window
      // The parts are of older messages.
      else if (touched.parts.has(id) && sequence === said.sequence && count === said.count) rest = fingerprint(`${rest} ${touched.salt}`)
    }
    const all = whole?.get(id)
    if (all !== undefined && said !== undefined && isOther(all, windows, id, said.rest)) rest = all.fingerprint
    const version = `${entry.generation}|${sequence}|${count}|${rest === '' ? shown : `${shown}~${rest}`}`
    return entry === old && old.version === version ? old : { ...entry, version }
  })
  for (const id of last.keys()) if (!known.has(id)) last.delete(id)
  const seenHot = new Map([...hot, ...[...news].map((id) => [id, now] as const)])
  return {
    entries: stamped,
    windows: { since: windows?.since ?? now, hot: seenHot, last, whole: whole ?? windows?.whole ?? new Map() },
  }
}

/** The first time that all of a session is looked at there is nothing to hold it against but when a row of it was last written to. */
function isOther(all: Whole, windows: Windows | undefined, id: string, said: string): boolean {
  const known = windows?.whole.get(id)
  if (known !== undefined) return known.fingerprint !== all.fingerprint
  return windows === undefined || said !== '' ? said !== all.fingerprint : !isBefore(all.updated, windows.since)
}

/** True for a session of which something says that its messages or parts were written to. */
function newsAgainst({ held, touched }: Stamping): (id: string) => boolean {
  return (id) => {
    const said = fieldsOf(held.get(id)?.version)
    if (said === undefined) return false
    const sequence = touched.sequences?.get(id)
    const count = touched.counts?.get(id) ?? (touched.counts === undefined ? said.count : '0')
    const isCounted = said.count !== '' && !(said.count === '0' && count === '0')
    return touched.ids.has(id) || (sequence !== undefined && sequence !== said.sequence) || (isCounted && count !== said.count)
  }
}

/** Those that were hot when another process listed them, the ones touched last. */
function cooled(held: ReadonlyMap<string, SessionEntry>, entries: readonly SessionEntry[]): readonly string[] {
  if (held.size === 0) return []
  const were = entries.filter(({ key }) => (fieldsOf(held.get(key.session)?.version)?.window ?? '') !== '')
  const updated = ({ record }: SessionEntry): number => record?.time.updated ?? 0
  return were
    .sort((a, b) => updated(b) - updated(a))
    .slice(0, MOST_COOLED)
    .map(({ key }) => key.session)
}

interface Fields {
  readonly sequence: string
  readonly count: string
  readonly window: string
  readonly rest: string
}

function fieldsOf(version: string | undefined): Fields | undefined {
  if (version === undefined) return undefined
  const [, sequence, count, looked, ...others] = version.split('|')
  if (sequence === undefined || count === undefined || looked === undefined || others.length > 0) return undefined
  const [window = '', rest = ''] = looked.split('~')
  return { sequence, count, window, rest }
}
