/**
 * Versions of the sessions in a tree of files, told from metadata alone.
 *
 * A version is `<session file>|<message folder>|<leaves>`. New and removed messages move their folder; messages and parts that are
 * rewritten in place, as OpenCode does while it streams, move no folder. So of hot sessions the leaves of the last messages are looked at:
 * those that were touched lately, those that were hot at the look before, and those that the caller knows to be written to.
 * `<leaves>` is `<last>~<rest>`: what the leaves of the last messages were, by which the next process tells whether they were written to
 * since, and what moves with those that were looked at besides.
 * A time within the clock's grain of the look is marked with `?`: a later write might leave it as it is, so it is looked at once more.
 */
import type { Clock } from '../../core/clock.js'
import type { SessionId } from '../../core/ids.js'
import { fingerprint } from '../fingerprint.js'
import { type FileTimes, isBefore, isUnsure, timesOf } from '../generation.js'
import type { ListOptions, SessionEntry } from '../listing.js'
import type { StoreWork } from '../store.js'
import { turnsOf } from '../turns.js'
import { dirtyLeaves } from './dirty.js'
import type { FileLayout } from './layout.js'
import { type Folder, type Looked, type LookedBefore, lookAtFile, lookAtLeaves, type Seen, stateOf } from './looks.js'

/** A session is hot for so many milliseconds after a write to it. */
const HOT_MS = 10 * 60_000
/** So many sessions are hot at most, the ones touched last: all files of a tree that was copied are new. */
const MOST_HOT = 16
/** So many of those that were hot when an earlier process listed them are looked at once more, the ones touched last. */
const MOST_COOLED = 64
/** Of a hot session the leaves of so many messages are looked at, the last ones. */
const LAST_MESSAGES = 8
/** Leaves that are remembered one by one because somebody said that they were written to. */
const MOST_LEAVES = 10_000

/** What is remembered of a listing, in this process. */
export interface FileLooks {
  /** When this process listed the tree first, epoch milliseconds. */
  readonly since: number
  readonly hot: ReadonlySet<SessionId>
  readonly last: ReadonlyMap<SessionId, LookedBefore>
  /** Fingerprints of all leaves of a session. */
  readonly whole: ReadonlyMap<SessionId, string>
  /** By path, of those that somebody said were written to. */
  readonly leaves: ReadonlyMap<string, string>
}

interface Look {
  readonly layout: FileLayout
  readonly work: StoreWork
  readonly clock: Clock
  /** When the look began, epoch milliseconds. */
  readonly now: number
  readonly before: ReadonlyMap<SessionId, SessionEntry>
  /** Undefined after a listing of another process. */
  readonly looks: FileLooks | undefined
  readonly options: ListOptions
}

interface Found {
  readonly entry: SessionEntry
  /** Of the session's own file. */
  readonly times: FileTimes | undefined
  /** Of its messages. */
  readonly folder: Seen
}

/** The entries with their versions; the same object where nothing moved. */
export async function stampVersions(
  entries: readonly SessionEntry[],
  look: Look,
): Promise<{ readonly entries: readonly SessionEntry[]; readonly looks: FileLooks }> {
  const { layout, work, clock, before, looks, options } = look
  const turns = turnsOf(clock)
  const found: Found[] = []
  for (const entry of entries) {
    if (turns.isDue()) await turns.take()
    const folder = lookAtFile(layout.messageFolder(entry.key.session, entry.project), work, clock)
    found.push({ entry, times: timesOf(entry.generation), folder })
  }
  const dirty = dirtyLeaves(options.dirty ?? [], entries, looks?.last ?? new Map(), layout, work)
  const hot = hotOnes(found, look)
  const leaves = new Leaves(look, new Set([...hot.marked, ...hot.recent, ...(looks?.hot ?? []), ...dirty.keys()]))
  const stamped: SessionEntry[] = []
  for (const { entry, times, folder } of found) {
    if (turns.isDue()) await turns.take()
    options.signal?.throwIfAborted()
    const id = entry.key.session
    const held = before.get(id)
    const version = `${ownVersion(entry, look, times)}|${folder.state}|${leaves.of(entry, leavesIn(held?.version), dirty.get(id))}`
    stamped.push(entry === held && held.version === version ? held : { ...entry, version })
  }
  // What is hot is looked at once more after it has cooled: it may have been written to just before.
  return { entries: stamped, looks: leaves.left(hot.recent, entries) }
}

/** Of the session's own file. */
export function ownVersion({ generation }: SessionEntry, { clock, now }: Pick<Look, 'clock' | 'now'>, times = timesOf(generation)): string {
  return isUnsure(times, now, clock.now()) ? `${generation}?` : generation
}

/** What the versions say of leaves: moves when they do, and stays where nobody looks. */
class Leaves {
  readonly #look: Look
  readonly #hot: ReadonlySet<SessionId>
  readonly #last: Map<SessionId, LookedBefore>
  readonly #whole: Map<SessionId, string>
  #leaves: Map<string, string> | undefined

  constructor(look: Look, hot: ReadonlySet<SessionId>) {
    this.#look = look
    this.#hot = hot
    this.#last = new Map(look.looks?.last)
    this.#whole = new Map(look.looks?.whole)
  }

  /** `held` is what the version before says; undefined for a session without one. */
  of(entry: SessionEntry, held: Said | undefined, dirty: readonly string[] | undefined): string {
    const { layout, work, clock, options } = this.#look
    const id = entry.key.session
    let { last: said, rest } = held ?? { last: '', rest: '' }
    if (this.#hot.has(id)) {
      const last = this.#last.get(id)
      const known = last?.fingerprint
      const looked = lookAtLeaves(entry, LAST_MESSAGES, { layout, work, clock, held: last })
      this.#last.set(id, keptOf(looked))
      // Leaves that were never looked at are taken as they are, but where somebody knows that they were written to.
      const baseline = known ?? (said === '' ? undefined : said)
      const leaves = (dirty ?? []).filter((path) => path !== entry.path && path !== layout.messageFolder(id, entry.project))
      const isForced = leaves.some((path) => looked.has(path)) || (dirty === undefined && options.hot?.(entry.key) === true)
      if (held === undefined || (baseline === undefined ? isForced : baseline !== looked.fingerprint)) said = looked.fingerprint
      for (const path of leaves) if (!looked.has(path)) rest = this.#withLeaf(rest, path)
    }
    if (options.deep === true) rest = this.#deep(entry, held, rest)
    return rest === '' ? said : `${said}~${rest}`
  }

  left(recent: ReadonlySet<SessionId>, entries: readonly SessionEntry[]): FileLooks {
    if (this.#look.options.only === undefined && this.#last.size + this.#whole.size > 0) {
      const present = new Set(entries.map(({ key }) => key.session))
      for (const held of [this.#last, this.#whole]) for (const id of held.keys()) if (!present.has(id)) held.delete(id)
    }
    // Names are kept of what will be looked at next time: of all sessions they would be many.
    for (const [id, looked] of this.#last) if (!recent.has(id) && looked.folders.size > 0) this.#last.set(id, { ...looked, folders: NO_FOLDERS })
    const hot = this.#look.options.only === undefined ? recent : new Set([...(this.#look.looks?.hot ?? []), ...recent])
    return {
      since: this.#look.looks?.since ?? this.#look.now,
      hot,
      last: this.#last,
      whole: this.#whole,
      leaves: this.#leaves ?? this.#look.looks?.leaves ?? new Map(),
    }
  }

  /** Of a leaf that nobody looks at otherwise: moves when it is not as it was when it was last said to be written to. */
  #withLeaf(rest: string, path: string): string {
    const { work, clock, looks } = this.#look
    const state = stateOf(path, work, clock)
    this.#leaves ??= new Map(looks?.leaves)
    if (this.#leaves.get(path) === state && !state.endsWith('?')) return rest
    this.#leaves.delete(path)
    this.#leaves.set(path, state)
    for (const oldest of this.#leaves.keys()) {
      if (this.#leaves.size <= MOST_LEAVES) break
      this.#leaves.delete(oldest)
    }
    return fingerprint(`${rest} ${path} ${state}`)
  }

  /** The first time that all leaves of a session are looked at there is nothing to hold them against but when they were last touched. */
  #deep(entry: SessionEntry, held: Said | undefined, rest: string): string {
    const { layout, work, clock, looks } = this.#look
    const { fingerprint: whole, moved } = lookAtLeaves(entry, Number.POSITIVE_INFINITY, { layout, work, clock })
    const known = this.#whole.get(entry.key.session)
    this.#whole.set(entry.key.session, whole)
    if (held === undefined || known === whole) return rest
    const isUntouched = known === undefined && (looks === undefined || held.rest !== '' ? held.rest === whole : isBefore(moved, looks.since))
    return isUntouched ? rest : whole
  }
}

function hotOnes(
  found: readonly Found[],
  { now, before, looks, options }: Look,
): { readonly recent: ReadonlySet<SessionId>; readonly marked: ReadonlySet<SessionId> } {
  const recent: Touch[] = []
  const cooled: Touch[] = []
  const marked = new Set<SessionId>()
  for (const { entry, times, folder } of found) {
    const { key } = entry
    const id = key.session
    const touched = Math.max(times?.changed ?? 0, folder.changed, looks?.last.get(id)?.touched ?? 0)
    if (touched > now - HOT_MS) recent.push({ id, touched })
    const wasHot = looks === undefined && (leavesIn(before.get(id)?.version)?.last ?? '') !== ''
    if (wasHot) cooled.push({ id, touched })
    if (folder.state.endsWith('?') || options.hot?.(key) === true) marked.add(id)
  }
  for (const id of lastOf(cooled, MOST_COOLED)) marked.add(id)
  return { recent: new Set(lastOf(recent, MOST_HOT)), marked }
}

/** Not the look itself: what it can be asked holds on to all that it saw. */
function keptOf({ fingerprint, touched, messages, folders }: Looked): LookedBefore {
  return { fingerprint, touched, messages, folders }
}

const NO_FOLDERS: ReadonlyMap<string, Folder> = new Map()

interface Touch {
  readonly id: SessionId
  /** Epoch milliseconds. */
  readonly touched: number
}

function lastOf(touches: readonly Touch[], most: number): readonly SessionId[] {
  const last = [...touches].sort((a, b) => b.touched - a.touched).slice(0, most)
  return last.map(({ id }) => id)
}

/** What a version says of the leaves; empty for what nobody looked at. */
interface Said {
  readonly last: string
  readonly rest: string
}

/** Undefined for no version, and for that of another kind of store. */
function leavesIn(version: string | undefined): Said | undefined {
  const fields = version?.split('|')
  if (fields?.length !== 3) return undefined
  const [last = '', rest = ''] = fields[2]?.split('~') ?? []
  return { last, rest }
}

/** True when the session's own file must be read again although its metadata are the same. */
export function wasUnsure({ version }: SessionEntry): boolean {
  return version === undefined || version.startsWith('|') || version.slice(0, version.indexOf('|')).endsWith('?')
}
