/** Writing a listing into the catalog: only the rows that differ, in one transaction. */
import { setImmediate as turn } from 'node:timers/promises'
import type { Clock } from '../../core/clock.js'
import { StorageError } from '../../core/errors.js'
import type { SessionId } from '../../core/ids.js'
import { sumFile } from '../../storage/files/file-sum.js'
import type { SqliteDatabase, SqlValue } from '../../storage/sqlite/driver.js'
import type { Listing, SessionEntry, StoreKind } from '../../storage/store.js'
import { searchWords } from '../sessions/search-words.js'
import type { SessionMeta, SessionOrigin } from '../types.js'
import { metaIn } from './cards.js'
import { atOneTime, within } from './file.js'
import { type Prepare, storeName } from './pages.js'
import { columnsOf, type RowTexts, seedOf, textsOf } from './rows.js'

/** How a copy of a session is shown. */
export interface ShownAs {
  /** What a list shows of it; of a hidden copy, what one would show of the copy itself. */
  readonly meta: SessionMeta
  /** The store whose copy hides this one. */
  readonly hiddenBy: SessionOrigin | undefined
  /** `meta` is what `metaOf` makes of the entry alone, hiding nothing. */
  readonly isPlain: boolean
}

/** The same, with the segment that it is to be in as far as this set of stores knows. */
export interface ShownRow {
  readonly meta: SessionMeta
  readonly isPlain: boolean
  readonly segment: number
}

/** A row as it stands, and what it was made from. Where that is the same, nothing is to be written. */
export interface Written {
  readonly entry: SessionEntry
  readonly segment: number
  readonly crc: number
  readonly isPlain: boolean
  readonly meta: SessionMeta | undefined
}

export interface StoreWrite {
  readonly store: number
  readonly origin: SessionOrigin
  readonly listing: Listing<SessionEntry>
  readonly shown: (entry: SessionEntry) => ShownRow
  /** The segment of a row: another set of stores may know better what hides it. */
  readonly segment: (wanted: number, held: number | undefined) => number
  /** What this process wrote of the store: nothing where another one wrote since. */
  readonly known: ReadonlyMap<SessionId, Written>
  readonly onWritten: (written: Written) => void
  readonly clock: Clock
}

/** Rows that are looked at, or written, between two turns of the event loop. */
const STEP = 32

/** What is held of a row: enough to tell whether it is to be written, and what to do with its words. */
const HELD = 'SELECT row, segment, crc, card FROM sessions WHERE store = ? AND id = ?'

interface Change {
  readonly entry: SessionEntry
  readonly texts: RowTexts
  readonly shown: ShownRow
}

/**
 * First everything is compared, then what differs is written in one transaction, some rows at a time: the event loop turns in between, while
 * other processes read what was there before. What is to be written is not held as texts: of a first listing that is all there is.
 * The sum and the number of the rows are those of the listing, not of the file: should another process have changed a row meanwhile, they
 * do not fit, and the mark is not believed.
 */
export async function writeStore(database: SqliteDatabase, prepare: Prepare, write: StoreWrite): Promise<void> {
  const { entries, complete, mark: given = null } = write.listing
  const { changed, digest, standing, leftOut } = await compare(prepare, write)
  const [held] = prepare('SELECT count(*) FROM sessions WHERE store = ?').get(write.store) ?? []
  if (Number(held) < standing && endsEarly(prepare, write))
    throw Object.assign(new Error('an index of the catalog lacks rows'), { code: 'SQLITE_CORRUPT' })
  const gone = complete && held !== standing ? await goneOf(prepare, write) : []
  const [mark, rows, sum, listed] = prepare('SELECT mark, rows, digest, listed FROM stores WHERE store = ?').get(write.store) ?? []
  const sure = complete ? given : null
  // A store of which a session is missing here is listed before anything of it is shown.
  const when = leftOut === 0 ? write.clock.now() : null
  const isKnown = when === null ? listed === null : Number(listed ?? 0) > when - LISTED_GRAIN_MS
  const isFresh = mark === sure && rows === entries.length && sum === digest && isKnown
  if (isFresh && changed.length === 0 && gone.length === 0) return
  // Nobody is shown a store before it was listed once, so its rows may come one after the other.
  const early = typeof listed === 'number' ? [] : changed.slice(0, -MOST_AT_ONCE)
  for (let at = 0; at < early.length; at += MOST_AT_ONCE)
    await within(database, write.clock, () => putRows(prepare, write, early.slice(at, at + MOST_AT_ONCE)))
  await within(database, write.clock, async () => {
    for (const [at, row] of gone.entries()) {
      if (at % STEP === STEP - 1) await turn()
      removeRow(prepare, row)
    }
    await putRows(prepare, write, changed.slice(early.length))
    const update = prepare('UPDATE stores SET mark = ?, rows = ?, digest = ?, listed = ? WHERE store = ?')
    const isThere = update.run(sure, entries.length, digest, when, write.store) === 1
    // Its rows would be nobody's.
    if (!isThere) throw new StorageError('CATALOG_UNAVAILABLE', { reason: 'another process took the store away meanwhile' })
  })
}

/** Of an index that is damaged SQLite may give the first rows alone, without a word, and find all others when they are asked for. */
function endsEarly(prepare: Prepare, { store, listing: { entries } }: StoreWrite): boolean {
  return atOneTime(prepare, () => {
    const [count] = prepare('SELECT count(*) FROM sessions WHERE store = ?').get(store) ?? []
    const row = prepare('SELECT row FROM sessions WHERE store = ? AND id = ?')
    return entries.filter(({ key }) => row.get(store, key.session) !== undefined).length > Number(count)
  })
}

/** Rows of a first listing in one transaction: what SQLite moves from the -wal into the file when it ends, it moves in one go. */
const MOST_AT_ONCE = 1000

async function putRows(prepare: Prepare, write: StoreWrite, entries: readonly SessionEntry[]): Promise<void> {
  for (const [at, entry] of entries.entries()) {
    if (at % STEP === STEP - 1) await turn()
    const shown = write.shown(entry)
    const texts = textsOf(storeName(write.origin), entry, shown.meta)
    if (texts !== undefined) putRow(prepare, write, { entry, texts, shown })
  }
}

/** What was listed is written down that often where nothing else changes: nothing depends on it, and every write wakes the disk. */
const LISTED_GRAIN_MS = 60_000

interface Compared {
  readonly changed: readonly SessionEntry[]
  readonly digest: number
  /** Entries that have a row. */
  readonly standing: number
  /** Entries that can have none. */
  readonly leftOut: number
}

/** Rows that this process knows to be as they were written are not looked at. */
async function compare(prepare: Prepare, { store, origin, listing, shown, segment: segmentOf, known, onWritten }: StoreWrite): Promise<Compared> {
  const held = prepare(HELD)
  const changed: SessionEntry[] = []
  let digest = 0
  let standing = 0
  let leftOut = 0
  let looked = 0
  for (const entry of listing.entries) {
    const as = shown(entry)
    const written = known.get(entry.key.session)
    const before = written?.entry === entry ? written : undefined
    if (before !== undefined && isSame(before, as) && segmentOf(as.segment, before.segment) === before.segment) {
      digest += before.crc
      standing++
      continue
    }
    if (++looked % STEP === 0) await turn()
    const texts = textsOf(storeName(origin), entry, as.meta)
    if (texts === undefined) {
      leftOut++
      continue
    }
    digest += texts.crc
    const [row, segment, crc, card] = held.get(store, entry.key.session) ?? []
    if (row !== undefined) standing++
    const next = segmentOf(as.segment, row === undefined ? undefined : Number(segment))
    onWritten({ ...as, entry, segment: next, crc: texts.crc })
    if (segment !== next || crc !== texts.crc || card !== texts.card) changed.push(entry)
  }
  return { changed, digest, standing, leftOut }
}

function isSame(before: Written, { meta, isPlain }: ShownRow): boolean {
  return before.meta === meta || (before.isPlain && isPlain)
}

async function goneOf(prepare: Prepare, { store, listing: { entries } }: StoreWrite): Promise<readonly number[]> {
  const listed = new Set<SqlValue>()
  for (const [at, { key }] of entries.entries()) {
    if (at % 5000 === 4999) await turn()
    listed.add(key.session)
  }
  const gone: number[] = []
  const next = prepare('SELECT id, row FROM sessions WHERE store = ? AND id > ? ORDER BY id LIMIT 1000')
  for (let last: SqlValue | undefined = ''; typeof last === 'string'; ) {
    const rows = next.all(store, last)
    for (const [id, row] of rows) if (!listed.has(id ?? null)) gone.push(Number(row))
    const end = rows.at(-1)?.[0]
    // An index that is damaged may lead round in a circle.
    last = rows.length === 1000 && typeof end === 'string' && end > last ? end : undefined
    if (last !== undefined) await turn()
  }
  return gone
}

export function removeRow(prepare: Prepare, row: number): void {
  prepare('DELETE FROM titles WHERE rowid = ?').run(row)
  prepare('DELETE FROM entries WHERE row = ?').run(row)
  prepare('DELETE FROM sessions WHERE row = ?').run(row)
}

const META_COLUMNS = 'cwd, parent, archived, last_modified, started_at, name, name_order, tag, label, model, entry_count'
const NAMES = `store, segment, id, card, ${META_COLUMNS}, file_size, checksum, crc, plain`.split(', ')
const INSERT = `INSERT INTO sessions (${NAMES.join(', ')}) VALUES (${NAMES.map(() => '?').join(', ')})`
/** What was counted is of the entry that was there. */
const UPDATE = `UPDATE sessions SET ${NAMES.map((name) => `${name} = ?`).join(', ')}, messages = iif(crc = ?, messages, NULL) WHERE row = ?`
const ENTRY = 'REPLACE INTO entries (row, path, project, generation, version, record, damage) VALUES (?, ?, ?, ?, ?, ?, ?)'

/** Of these a session is no file. */
const IN_DATABASES: readonly StoreKind[] = ['opencode-sqlite', 'opencode-v2', 'memory']

function putRow(prepare: Prepare, { store, origin, segment: segmentOf }: StoreWrite, { entry, texts, shown }: Change): void {
  const { meta, isPlain, segment: wanted } = shown
  const { session: id } = entry.key
  const file = IN_DATABASES.includes(origin.kind) ? undefined : sumFile(entry.path)
  const [row, held, crc, card] = prepare(HELD).get(store, id) ?? []
  const segment = segmentOf(wanted, row === undefined ? undefined : Number(held))
  const values = [store, segment, id, texts.card, ...columnsOf(meta), file?.size ?? null, file?.sum ?? null, texts.crc, isPlain ? 1 : 0]
  if (row === undefined) prepare(INSERT).run(...values)
  else prepare(UPDATE).run(...values, texts.crc, row)
  const number = row ?? prepare('SELECT last_insert_rowid()').get()?.[0] ?? null
  if (crc !== texts.crc) prepare(ENTRY).run(number, ...texts.entry)
  const before = row === undefined ? undefined : metaIn(seedOf(storeName(origin)), meta.key.agent, origin, id, card)
  if (before !== undefined && TITLES.every((name) => before[name] === meta[name])) return
  if (row !== undefined) prepare('DELETE FROM titles WHERE rowid = ?').run(row)
  const words = TITLES.map((name) => searchWords(meta[name] ?? '').join(' '))
  prepare('INSERT INTO titles (rowid, name, label, prompt) VALUES (?, ?, ?, ?)').run(number, ...words)
}

/** What is searched, in the order of the columns. */
const TITLES = ['title', 'label', 'prompt'] as const

/** Of rows that are known. */
export function keepOnly(rows: Map<SessionId, Written>, entries: readonly SessionEntry[]): void {
  const listed = new Set(entries.map(({ key }) => key.session))
  for (const id of rows.keys()) if (!listed.has(id)) rows.delete(id)
}
