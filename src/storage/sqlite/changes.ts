/**
 * Listing the sessions of a database at the price of what changed since the listing before.
 *
 * The gate is the metadata of the files and `PRAGMA data_version`: while they stay, so does the listing. When they move, the rows of the
 * sessions are held against those of before inside SQLite (`blocks.ts`), and sessions whose messages or parts were written to are
 * found by
 * - `event_sequence`, where OpenCode fills it (from 1.17 on): it moves with all that happens to a session,
 * - rows behind the last ones of the tables, and the number of messages: both miss what is rewritten in place,
 * - the last messages of hot sessions: those that were touched lately, and those that were hot at the look before.
 */
import type { Clock } from '../../core/clock.js'
import type { ListedBefore, Listing, ListOptions, SessionEntry } from '../listing.js'
import { changedRows, namesOf, type RowBlocks, readBlocks, secondIn } from './blocks.js'
import type { SqliteConnection } from './connection.js'
import type { Layout } from './layouts.js'
import { unlessMissing } from './records.js'
import { listSessionRows } from './sessions.js'
import { countsOf, messagesIn, newsOf, type TableTail, type TailNews, tailOf } from './tails.js'
import { hotSessions, NO_WINDOWS, stampRows, type Touched, type Windows, wholeOf } from './versions.js'

/**
 * A commit shows to readers a moment after the last write to the -wal: the writer may wait for the disk in between. So no mark is given
 * within so many milliseconds of a write; that covers the grain of coarse clocks, too.
 */
const COMMIT_MS = 2000

/** What a listing leaves to the next one of the same process, besides its entries. */
interface Left {
  readonly stamp: string
  readonly issues: Listing<SessionEntry>['issues']
  /** Undefined where rows cannot be told apart by SQLite: then all are fetched. */
  readonly rows: RowBlocks | undefined
  readonly sequences: RowBlocks | undefined
  readonly messageTail: TableTail
  readonly partTail: TableTail
  readonly messages: number | undefined
  readonly windows: Windows
}

/** What a look found, before versions are given. */
interface Found extends Omit<Left, 'stamp' | 'windows'> {
  readonly entries: readonly SessionEntry[]
  readonly touched: Touched
}

/**
 * What a listing gives depends on the database and on the listing before it, the one that it is told, and on no other: listings may
 * overlap, and the one that is thrown away takes nothing with it.
 */
export class DatabaseListings {
  readonly #connection: SqliteConnection
  readonly #layout: Layout
  readonly #clock: Clock
  readonly #left = new WeakMap<readonly SessionEntry[], Left>()

  constructor(connection: SqliteConnection, layout: Layout, clock: Clock) {
    this.#connection = connection
    this.#layout = layout
    this.#clock = clock
  }

  /** Every session, with its light record. */
  list(options: ListOptions): Listing<SessionEntry> {
    const { before, deep = false, hot, only } = options
    const left = before && this.#left.get(before.entries)
    // Before anything else is asked: what is written from now on is looked at next time.
    const from = this.#clock.now()
    const files = this.#connection.files()
    const stamp = this.#connection.stamp(files)
    const isSettled = files.changed < from - COMMIT_MS || files.changed > this.#clock.now() + COMMIT_MS
    const isSure = !this.#connection.frozen && isSettled
    const markFor = (issues: Left['issues']) => (isSure && issues.length === 0 ? { mark: files.state } : {})
    if (before !== undefined && !deep && hot === undefined && only === undefined) {
      if (left?.stamp === stamp) return { entries: before.entries, issues: left.issues, complete: true, ...markFor(left.issues) }
      if (left === undefined && isSure && before.mark === files.state)
        return { entries: before.entries, issues: [], complete: true, mark: files.state }
    }
    if (before !== undefined && only !== undefined) return this.#listSome(before, left, only)
    const found =
      (left !== undefined && !deep ? this.#lookAgain(before?.entries ?? [], left) : undefined) ?? this.#lookAnew(before?.entries ?? [], left)
    const { entries, windows } = this.#stamped(found, left, options)
    this.#left.set(entries, { ...found, stamp, windows })
    return { entries, issues: found.issues, complete: true, ...markFor(found.issues) }
  }

  /** The others are as old as they were, and so is the mark. */
  #listSome(before: ListedBefore, left: Left | undefined, only: NonNullable<ListOptions['only']>): Listing<SessionEntry> {
    const wanted = new Set<string>(only.map(({ session }) => session))
    const held = new Map<string, SessionEntry>(before.entries.map((entry) => [entry.key.session, entry]))
    const fetched = listSessionRows(this.#connection, this.#layout.session, held, [...wanted])
    const touched: Touched = { ids: NOBODY, parts: NOBODY, sequences: undefined, counts: undefined, salt: '' }
    const nothing = { forced: new Set<string>(), hot: new Map<string, number>(), whole: undefined, now: this.#clock.now() }
    const looks = { ...nothing, entries: fetched.entries, held, touched, looked: wanted, windows: left?.windows ?? NO_WINDOWS }
    const stamped = stampRows(this.#connection, this.#layout, looks)
    const fresh = new Map(stamped.entries.map((entry) => [entry.key.session, entry]))
    const kept = before.entries.flatMap((entry) => (wanted.has(entry.key.session) ? (fresh.get(entry.key.session) ?? []) : [entry]))
    const entries = [...kept, ...stamped.entries.filter(({ key }) => !held.has(key.session))]
    if (left !== undefined) this.#left.set(entries, left)
    return { entries, issues: left?.issues ?? [], complete: true, mark: before.mark }
  }

  /** Fetches every row of a session. */
  #lookAnew(before: readonly SessionEntry[], left: Left | undefined): Found {
    const { message, part, session } = this.#layout
    // The texts first: a row that is written to between the two queries is then fetched again.
    const [rows, sequences] = [this.#rows(), this.#sequences()]
    const messageTail = this.#tail(message)
    const partTail = part === undefined ? [] : this.#tail(part)
    const parts = left === undefined || part === undefined ? undefined : this.#news(part, left.partTail)
    const counts = unlessMissing(() => countsOf(this.#connection, this.#layout))
    const messages = counts && sumOf(counts.values())
    const { entries, issues } = listSessionRows(this.#connection, session, new Map(before.map((entry) => [entry.key.session, entry])))
    const ids = new Set(parts?.rows.keys())
    const touched: Touched = {
      ids,
      parts: ids,
      sequences: sequences && sequencesIn(sequences),
      counts,
      salt: String(partTail[0]?.rowid),
    }
    return { entries, issues, rows: issues.length === 0 ? rows : undefined, sequences, messageTail, partTail, messages, touched }
  }

  /** Fetches the rows that changed. Undefined when they cannot be told. */
  #lookAgain(before: readonly SessionEntry[], left: Left): Found | undefined {
    const [rows, sequences] = [left.rows && this.#rows(), this.#sequences()]
    const changed = left.rows && rows && changedRows(left.rows, rows)
    if (rows === undefined || changed === undefined) return undefined
    const moved = sequences && changedRows(left.sequences ?? NO_ROWS, sequences)
    const { message, part, session } = this.#layout
    const messageNews = this.#news(message, left.messageTail)
    const partNews = part === undefined ? undefined : this.#news(part, left.partTail)
    const messages = unlessMissing(() => messagesIn(this.#connection, this.#layout))
    const expected = (left.messages ?? 0) + sumOf(messageNews?.rows.values() ?? [])
    const isExplained = messageNews?.isCut === false && messages === expected
    const counts = isExplained ? undefined : unlessMissing(() => countsOf(this.#connection, this.#layout))
    const ids = new Set([...(messageNews?.rows.keys() ?? []), ...(partNews?.rows.keys() ?? [])])
    const seen = new Map([...(moved ?? [])].flatMap(([id, row]) => (row === undefined ? [] : [[id, secondIn(row)] as const])))
    const parts = new Set(partNews?.rows.keys())
    const touched: Touched = { ids, parts, sequences: seen, counts, salt: String(partNews?.tail[0]?.rowid) }
    const entries = this.#withChanged(before, rows, changed, session)
    const tails = { messageTail: messageNews?.tail ?? left.messageTail, partTail: partNews?.tail ?? left.partTail }
    return entries && { entries, issues: left.issues, rows, sequences, ...tails, messages, touched }
  }

  /** In the order of the rows. Undefined when a row was deleted or renamed between two queries, or has an unsafe id. */
  #withChanged(
    before: readonly SessionEntry[],
    rows: RowBlocks,
    changed: ReadonlyMap<string, string | undefined>,
    table: Layout['session'],
  ): readonly SessionEntry[] | undefined {
    if (changed.size === 0) return before
    const held = new Map<string, SessionEntry>(before.map((entry) => [entry.key.session, entry]))
    const wanted = [...changed].flatMap(([id, row]) => (row === undefined ? [] : [id]))
    const fetched = listSessionRows(this.#connection, table, held, wanted)
    for (const id of changed.keys()) held.delete(id)
    for (const entry of fetched.entries) held.set(entry.key.session, entry)
    const entries = namesOf(rows).flatMap((id) => held.get(id) ?? [])
    return fetched.issues.length === 0 && entries.length === rows.rows ? entries : undefined
  }

  #stamped(found: Found, left: Left | undefined, options: ListOptions): { readonly entries: readonly SessionEntry[]; readonly windows: Windows } {
    const before = options.before?.entries ?? []
    const held = new Map<string, SessionEntry>(before.map((entry) => [entry.key.session, entry]))
    const forced = new Set<string>(
      options.hot === undefined ? [] : found.entries.flatMap(({ key }) => (options.hot?.(key) === true ? [key.session] : [])),
    )
    const hot = hotSessions(found.entries, [...found.messageTail, ...found.partTail], left?.windows, this.#clock.now())
    const whole = options.deep === true ? unlessMissing(() => wholeOf(this.#connection, this.#layout, found.entries)) : undefined
    const stamped = stampRows(this.#connection, this.#layout, {
      ...found,
      held,
      forced,
      hot,
      looked: NOBODY,
      windows: left?.windows,
      whole,
      now: this.#clock.now(),
    })
    const isSame = stamped.entries.length === before.length && stamped.entries.every((entry, at) => entry === before[at])
    return isSame ? { ...stamped, entries: before } : stamped
  }

  #rows(): RowBlocks | undefined {
    const { session } = this.#layout
    const { names } = this.#connection.schema.session[session].light
    return unlessMissing(() => readBlocks(this.#connection, session, ['id', ...names.filter((name) => name !== 'id')]))
  }

  /** None where the database has no such table, or OpenCode does not fill it. */
  #sequences(): RowBlocks | undefined {
    // Asked for what is not there, a connection looks at its whole schema anew.
    if (!this.#connection.schema.tables.has('event_sequence')) return undefined
    return unlessMissing(() => readBlocks(this.#connection, 'event_sequence', ['aggregate_id', 'seq']))
  }

  #news(table: string, before: TableTail): TailNews | undefined {
    return unlessMissing(() => newsOf(this.#connection, table, before))
  }

  #tail(table: string): TableTail {
    return unlessMissing(() => tailOf(this.#connection, table)) ?? []
  }
}

const NOBODY: ReadonlySet<string> = new Set()
const NO_ROWS: RowBlocks = { texts: [], rows: 0 }

function sequencesIn(blocks: RowBlocks): ReadonlyMap<string, string> {
  return new Map(blocks.texts.flatMap((text) => text.split('\u001e').map((row) => [row.slice(0, row.indexOf('\u001f')), secondIn(row)] as const)))
}

function sumOf(numbers: Iterable<number | string>): number {
  let sum = 0
  for (const number of numbers) sum += Number(number)
  return sum
}
