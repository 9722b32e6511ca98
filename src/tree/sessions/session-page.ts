/**
 * Pages of sessions: sorted, narrowed, and continued from where the page before ended.
 *
 * Invariants, held by the contract suite (`test/contracts/session-page.ts`): a page goes on behind the *place* of the last row that was
 * given, so rows that come, go or move between two pages neither repeat those that stayed nor hide them; equal places go by id, then agent.
 */
import { StorageError } from '../../core/errors.js'
import { folderName, isWithinFolder } from '../../core/folders.js'
import { compareText } from '../../core/ids.js'
import { type Agent, agentsIn } from '../../core/keys.js'
import { checkBoolean, checkNumber, refuseUnknown } from '../../core/options.js'
import { fingerprint } from '../../storage/fingerprint.js'
import { earlySessionsOf } from '../catalog/early.js'
import type { SessionMeta } from '../types.js'
import { lookAgain } from '../watch/told.js'
import { fold, hasWords, searchWords } from './search-words.js'
import type { Sessions } from './sessions.js'

export type SessionSort = 'updated' | 'created' | 'name'

export interface SessionQuery {
  /** The last updated first, the newest first, or from A to Z without case and accents, those without a title last. @default 'updated' */
  readonly sort?: SessionSort
  /** None where the list is empty. @default every agent */
  readonly agent?: Agent | readonly Agent[]
  /** Sessions that ran in exactly this folder, or in one of these; with a separator at its end (`/work/`) in it or below it. */
  readonly cwd?: string | readonly string[]
  /** Exactly this tag. */
  readonly tag?: string
  /**
   * Words that all stand in the title, the label or, of a log, the beginning of the first prompt, without case and accents; the last one may
   * be the beginning of a word.
   * Punctuation separates words and means nothing; a text without a word leaves nothing out.
   */
  readonly search?: string
  /** Sessions that another one began, too. @default false */
  readonly children?: boolean
  /** @default false */
  readonly archived?: boolean
  /** `next` of the page before. */
  readonly after?: string
  /** @default 50 */
  readonly limit?: number
}

export interface SessionPage {
  readonly sessions: readonly SessionMeta[]
  /** For `after`; undefined on the last page. It stays good while sessions come, go and change. */
  readonly next: string | undefined
  /** Some of the rows may be older than what is on disk: they are of a listing that could not be repeated. */
  readonly stale: boolean
}

/** @throws StorageError INVALID_OPTION, also for an `after` that is of another query */
export async function pageSessions(sessions: Sessions, query: SessionQuery = {}): Promise<SessionPage> {
  const asked = readQuery(query)
  const early = earlySessionsOf(sessions)
  if (early !== undefined) {
    const page = early.page(asked)
    if (page !== undefined) return { ...page, stale: true }
    await lookAgain(sessions)
  }
  const rows = inOrder(sessions.index.sessionsByTime(), asked.sort)
  const found: SessionMeta[] = []
  let more = false
  for (let at = asked.after === undefined ? 0 : firstBehind(rows, asked.sort, asked.after); at < rows.length; at++) {
    const row = rows[at]
    if (row === undefined || !isAsked(row, asked)) continue
    more = found.length === asked.limit
    if (more) break
    found.push(row)
  }
  const last = found.at(-1)
  return { sessions: found, next: more && last !== undefined ? cursorOf(asked, last) : undefined, stale: isStale(sessions) }
}

/** What goes on behind this session, for `after` of the same query. @throws StorageError INVALID_OPTION */
export function cursorAfter(session: SessionMeta, query: SessionQuery = {}): string {
  return cursorOf(readQuery(query), session)
}

/** A query that was checked, every default filled in. */
export interface ReadQuery {
  readonly sort: SessionSort
  readonly agents: readonly Agent[] | undefined
  readonly folders: readonly AskedFolder[] | undefined
  readonly tag: string | undefined
  readonly words: readonly string[]
  readonly children: boolean
  readonly archived: boolean
  readonly after: SessionPlace | undefined
  readonly limit: number
  /** Equal for queries that the same cursor continues. */
  readonly name: string
}

export interface AskedFolder {
  /** As `folderName` spells it. */
  readonly name: string
  /** What is below it counts, too. */
  readonly below: boolean
}

/** Where a session stands in an order: by `value`, then id, then agent. */
export interface SessionPlace {
  /** Epoch milliseconds, the higher the earlier; of 'name' a text, from A to Z by code points (the order of SQLite's BINARY). */
  readonly value: number | string
  readonly id: string
  readonly agent: string
}

/** @throws StorageError INVALID_OPTION */
export function readQuery(query: SessionQuery): ReadQuery {
  refuseUnknown(query, ['sort', 'agent', 'cwd', 'tag', 'search', 'children', 'archived', 'after', 'limit'])
  const { sort = 'updated', agent, cwd, search = '', children = false, archived = false, limit = 50 } = query
  if (!SORTS.includes(sort)) throw invalid(`sort must be one of ${SORTS.join(', ')}, not ${JSON.stringify(sort)}`)
  const agents = agent === undefined ? undefined : [...agentsIn(agent)].sort()
  const folders = cwd === undefined ? undefined : [...new Set([cwd].flat())].sort().map(readFolder)
  for (const [name, text] of [['tag', query.tag ?? ''] as const, ['search', search] as const]) {
    if (typeof text !== 'string') throw invalid(`${name} must be a text, not ${JSON.stringify(text)}`)
  }
  const tag = query.tag?.toWellFormed()
  checkNumber('limit', limit, 1)
  checkBoolean('children', children)
  checkBoolean('archived', archived)
  const words = searchWords(search)
  const name = fingerprint(JSON.stringify([sort, agents, folders, tag, words, children, archived]))
  const after = query.after === undefined ? undefined : readCursor(query.after, name, sort)
  return { sort, agents, folders, tag, words, children, archived, after, limit: Math.floor(limit), name }
}

/** The place of a session in the order of a query. */
export function placeOf({ updated, created, title, id, key: { agent } }: SessionMeta, sort: SessionSort): SessionPlace {
  return { value: sort === 'updated' ? updated : sort === 'created' ? created : nameOrder(title), id, agent }
}

/** What titles are sorted by; well-formed, since SQLite keeps no half of a character. */
export function nameOrder(title: string): string {
  return fold(title.trim()).toWellFormed() || UNTITLED
}

/** For `after`: goes on behind `session`. */
function cursorOf(query: Pick<ReadQuery, 'sort' | 'name'>, session: SessionMeta): string {
  return cursorAt(query, placeOf(session, query.sort))
}

/** Goes on behind this place. */
export function cursorAt({ name }: Pick<ReadQuery, 'name'>, { value, id, agent }: SessionPlace): string {
  return Buffer.from(JSON.stringify([VERSION, name, value, id, agent])).toString('base64url')
}

const SORTS: readonly SessionSort[] = ['updated', 'created', 'name']
/** Of cursors. */
const VERSION = 1
/** Behind every letter. */
const UNTITLED = '\u{10ffff}'

function invalid(reason: string): StorageError {
  return new StorageError('INVALID_OPTION', { reason })
}

/** @throws StorageError INVALID_OPTION */
function readFolder(text: unknown): AskedFolder {
  if (typeof text !== 'string' || text === '') throw invalid('cwd must be the path of a folder, or a list of them')
  const name = folderName(text)
  return { name, below: name === '/' || name.length < text.length }
}

/** @throws StorageError INVALID_OPTION */
function readCursor(text: unknown, name: string, sort: SessionSort): SessionPlace {
  const [version, query, value, id, agent] = decode(text)
  const isPlace = typeof value === (sort === 'name' ? 'string' : 'number') && typeof id === 'string' && typeof agent === 'string'
  if (version !== VERSION || typeof query !== 'string') throw invalid('`after` must be the `next` of a page')
  if (query !== name) throw invalid('`after` is of a page of another query')
  if (!isPlace) throw invalid('`after` must be the `next` of a page')
  return { value, id, agent } as SessionPlace
}

function decode(text: unknown): readonly unknown[] {
  try {
    const value: unknown = JSON.parse(Buffer.from(String(text), 'base64url').toString())
    return Array.isArray(value) ? value : []
  } catch {
    return []
  }
}

/** Sorted once for each listing, since a list of many pages is asked for page by page. */
const orders = new WeakMap<readonly SessionMeta[], Map<SessionSort, readonly SessionMeta[]>>()

function inOrder(listed: readonly SessionMeta[], sort: SessionSort): readonly SessionMeta[] {
  const held = orders.get(listed) ?? new Map<SessionSort, readonly SessionMeta[]>()
  orders.set(listed, held)
  const known = held.get(sort)
  if (known !== undefined) return known
  const placed = listed.map((meta) => ({ meta, place: placeOf(meta, sort) }))
  const sorted = placed.sort((a, b) => comparePlaces(a.place, b.place)).map(({ meta }) => meta)
  held.set(sort, sorted)
  return sorted
}

function comparePlaces(a: SessionPlace, b: SessionPlace): number {
  return compareValues(a.value, b.value) || compareText(a.id, b.id) || compareText(a.agent, b.agent)
}

/** Of two places. */
export function compareValues(a: number | string, b: number | string): number {
  return typeof a === 'number' && typeof b === 'number' ? b - a : comparePoints(String(a), String(b))
}

/** JavaScript's own order puts the second half of the BMP behind the characters beyond it. */
function comparePoints(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let at = 0; at < length; at++) {
    const [left, right] = [a.charCodeAt(at), b.charCodeAt(at)]
    if (left !== right) return pointOrder(left) - pointOrder(right)
  }
  return a.length - b.length
}

function pointOrder(unit: number): number {
  if (unit < 0xd800) return unit
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800
}

function firstBehind(rows: readonly SessionMeta[], sort: SessionSort, place: SessionPlace): number {
  let low = 0
  let high = rows.length
  while (low < high) {
    const middle = (low + high) >>> 1
    const row = rows[middle]
    if (row !== undefined && comparePlaces(placeOf(row, sort), place) <= 0) low = middle + 1
    else high = middle
  }
  return low
}

function isAsked(row: SessionMeta, { agents, folders, tag, words, children, archived }: ReadQuery): boolean {
  if (row.parent !== undefined && !children) return false
  if (row.archived !== undefined && !archived) return false
  if (agents !== undefined && !agents.includes(row.key.agent)) return false
  if (tag !== undefined && row.tag?.toWellFormed() !== tag) return false
  if (folders !== undefined && !isInAny(row.directory, folders)) return false
  return words.length === 0 || hasWords(wordsOf(row), words)
}

/** Whether a session of this directory ran in one of the folders. */
export function isInAny(directory: string, folders: readonly AskedFolder[]): boolean {
  return folders.some(({ name, below }) => (below ? isWithinFolder(directory, name) : folderName(directory) === name))
}

const held = new WeakMap<SessionMeta, ReadonlySet<string>>()

function wordsOf(row: SessionMeta): ReadonlySet<string> {
  const known = held.get(row)
  if (known !== undefined) return known
  const words = new Set([row.title, row.label ?? '', row.prompt ?? ''].flatMap(searchWords))
  held.set(row, words)
  return words
}

/** A store whose listing failed is named by an issue without a key; what it listed before is shown. */
function isStale({ stale, issues, stores }: Sessions): boolean {
  return stale || issues.some(({ key, path }) => key === undefined && stores.some((store) => store.path === path))
}
