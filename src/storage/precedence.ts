/**
 * Which copy of a session is read when several stores have one.
 *
 * Copies stand in order: OpenCode 2, the tables of 1.x, the tree of 1.x, the trees of 0.x; of one kind `opencode.db` first,
 * then by path, so the order of discovery says nothing. The first copy is read, unless one further down is ahead of it:
 *
 * 1. Its newest message was created after every message of the upper copy, which does not have it. An older client went on after
 *    the import, or the import dropped the end, or has not come to it yet. Times alone do not prove it (a tree knows the time in
 *    the id, a row its own, some milliseconds apart), so the message is looked up before it is believed to be missing, and opened:
 *    one that is damaged with all its parts proves nothing, then the one before it is looked at.
 *    `time.updated` has no say here: the newer client moves it without knowing what the older one wrote meanwhile. The price is
 *    that messages which the upper copy removed (a revert that is followed by nothing) show again until it has later ones.
 *    The other way round messages would be lost, and nobody would know.
 * 2. Both end with the same message, or have none, and its record's `time.updated` is greater: an older client renamed or archived it.
 *
 * Where both went on since they parted the later end wins; what only the other holds is told by `compareCopies`.
 * A damaged record tells no time, so it neither gains nor loses the place; a store that cannot be asked leaves things as they were.
 * A copy whose messages cannot be listed gives its place to one whose messages can, and an issue names it.
 */
import { groupBy } from '../core/collections.js'
import type { Reading } from '../core/documents.js'
import { StorageError } from '../core/errors.js'
import { FORMATS } from '../core/formats.js'
import { compareText, idTime } from '../core/ids.js'
import { encodeKey, type MessageKey, messageKey } from '../core/keys.js'
import { type StageIssue, storeIssueOf } from '../core/stage.js'
import { Slab, SlabPool } from './slab.js'
import { parseSpan, type Span } from './span.js'
import type { Leaf, MessageEntry, SessionEntry, Store, StoreKind } from './store.js'
import { inTurns, type Turns } from './turns.js'

/** A session as one store holds it. */
export interface SessionCopy {
  readonly store: Store
  readonly entry: SessionEntry
}

/** Stores of two agents never have the same session. */
const RANK: Readonly<Record<StoreKind, number>> = {
  'opencode-v2': 0,
  'opencode-sqlite': 1,
  'opencode-json': 2,
  'opencode-era-a': 3,
  'pi-jsonl': 4,
  'claude-jsonl': 5,
  'codex-jsonl': 6,
  'jcode-journal': 7,
  memory: 8,
}

/** Compares two stores; the upper one comes first. */
export function byPrecedence(a: Pick<Store, 'kind' | 'path'>, b: Pick<Store, 'kind' | 'path'>): number {
  const channel = ({ path }: Pick<Store, 'path'>): number => (/(^|[/\\])opencode\.db$/.test(path) ? 0 : 1)
  return RANK[a.kind] - RANK[b.kind] || channel(a) - channel(b) || compareText(a.path, b.path)
}

/** True for the same place of the same kind, be it opened anew. */
export function isSameStore(a: Pick<Store, 'kind' | 'path'>, b: Pick<Store, 'kind' | 'path'>): boolean {
  return a.kind === b.kind && a.path === b.path
}

/** The copies of one session, at least two, by precedence of their stores. */
type Copies = readonly SessionCopy[]

export interface Choice {
  readonly chosen: ReadonlyMap<Copies, SessionCopy>
  readonly issues: readonly StageIssue[]
}

/** `before` gives the store that a session was read from until now. Asks each store once for all its sessions; opens messages of those alone that seem ahead. */
export async function chooseCopies(contests: readonly Copies[], before: (copy: SessionCopy) => Store | undefined, turns: Turns): Promise<Choice> {
  const issues: StageIssue[] = []
  const newest = await newestOf(contests.flat(), issues, turns)
  const unknown = new Set<Copies>()
  const chosen = new Map<Copies, SessionCopy>()
  await inTurns(contests, turns, (copies) => {
    if (!copies.every((copy) => newest.has(copy))) unknown.add(copies)
    if (copies[0] !== undefined) chosen.set(copies, copies[0])
  })
  const most = contests.reduce((longest, { length }) => Math.max(longest, length), 0)
  for (let at = 1; at < most; at++) {
    const rivals: Rival[] = []
    await inTurns(contests, turns, (copies) => {
      const [upper, lower] = [chosen.get(copies), copies[at]]
      if (upper === undefined || lower === undefined || unknown.has(copies)) return
      const standing = standingOf(upper, lower, newest)
      if (standing === 'ahead') chosen.set(copies, lower)
      else if (standing !== 'behind') rivals.push({ copies, upper, lower, ...standing })
    })
    for (const copies of await settleRivals(rivals, chosen, issues)) unknown.add(copies)
  }
  for (const copies of unknown) {
    const held = copies[0] && before(copies[0])
    const kept = held && copies.find(({ store }) => isSameStore(store, held))
    if (kept !== undefined) chosen.set(copies, kept)
  }
  return { chosen, issues }
}

type Newest = ReadonlyMap<SessionCopy, MessageEntry | 'unreadable' | undefined>

/** Without the copies of stores that cannot be asked. */
async function newestOf(copies: readonly SessionCopy[], issues: StageIssue[], turns: Turns): Promise<Newest> {
  const newest = new Map<SessionCopy, MessageEntry | 'unreadable' | undefined>()
  for (const [store, group] of groupBy(copies, (copy) => copy.store)) {
    try {
      const listing = await store.newest(group.map(({ entry }) => entry.key))
      const unreadable = new Set(listing.issues.map(({ key }) => key && encodeKey(key)))
      await inTurns(group.entries(), turns, ([at, copy]) => {
        newest.set(copy, unreadable.has(encodeKey(copy.entry.key)) ? 'unreadable' : listing.entries[at])
      })
      issues.push(...listing.issues)
    } catch (error) {
      issues.push(issueOf(error, store))
    }
  }
  return newest
}

/** The message that the upper copy must lack, where the lower is ahead only then. */
function standingOf(upper: SessionCopy, lower: SessionCopy, newest: Newest): 'ahead' | 'behind' | Pick<Rival, 'message' | 'end'> {
  const [above, below] = [newest.get(upper), newest.get(lower)]
  if (below === 'unreadable') return 'behind'
  if (above === 'unreadable') return 'ahead'
  if (isSameEnd(above, below, upper.store.format !== lower.store.format)) {
    const [held, later] = [upper.entry.record?.time.updated, lower.entry.record?.time.updated]
    return held !== undefined && later !== undefined && later > held ? 'ahead' : 'behind'
  }
  if (below === undefined) return 'behind'
  if (above === undefined) return 'ahead'
  return below.created > above.created ? { message: below, end: above.created } : 'behind'
}

/** Up to here the id of a row that an import derived is that of its source: the prefix, the time and the counter. */
const DERIVED = 16

function isSameEnd(a: MessageEntry | undefined, b: MessageEntry | undefined, converted: boolean): boolean {
  if (a === undefined || b === undefined) return a === b
  if (a.id === b.id) return true
  return converted && idTime(a.id, a.created) !== undefined && a.id.slice(0, DERIVED) === b.id.slice(0, DERIVED)
}

/** A copy that is ahead if the one above lacks its newest message. */
interface Rival {
  readonly copies: Copies
  readonly upper: SessionCopy
  readonly lower: SessionCopy
  readonly message: MessageEntry
  /** Epoch milliseconds: the end of the upper copy. */
  readonly end: number
}

/** Returns those that could not be settled: a store could not be asked. */
async function settleRivals(rivals: readonly Rival[], chosen: Map<Copies, SessionCopy>, issues: StageIssue[]): Promise<readonly Copies[]> {
  const unsettled: Copies[] = []
  const pool = new SlabPool()
  for (const [store, group] of groupBy(rivals, (rival) => rival.upper.store)) {
    try {
      const prices = await store.price(group.map(({ upper, message }) => ({ kind: 'message', key: messageKey(upper.entry.key, message.id) })))
      for (const [at, rival] of group.entries()) {
        if (prices[at] === undefined && (await hasLaterMessage(rival, pool))) chosen.set(rival.copies, rival.lower)
      }
    } catch (error) {
      issues.push(issueOf(error, store))
      unsettled.push(...group.map(({ copies }) => copies))
    }
  }
  return unsettled
}

/** How many messages that the upper copy lacks are opened to find one that is intact. */
const MOST_OPENED = 8

async function hasLaterMessage({ upper, lower, end }: Rival, pool: SlabPool): Promise<boolean> {
  const { key } = lower.entry
  const { entries } = await lower.store.messages(key)
  const later = entries.filter(({ created }) => created > end).reverse()
  const keys = later.map(({ id }) => messageKey(key, id))
  const prices = await upper.store.price(keys.map((message) => ({ kind: 'message', key: message })))
  for (const message of keys.filter((_, at) => prices[at] === undefined).slice(0, MOST_OPENED)) {
    if (await isIntact(lower, message, pool)) return true
  }
  return false
}

/** True when the message or a part of it can be read. */
async function isIntact({ store, entry }: SessionCopy, key: MessageKey, pool: SlabPool): Promise<boolean> {
  using slab = new Slab(pool)
  const format = FORMATS[store.format]
  const [leaf] = await store.open([{ kind: 'message', key }], slab)
  if (reads(leaf, (span) => format.message(parseSpan(span), key, span.source.type))) return true
  const { entries } = await store.openParts(entry.key, [key], slab)
  return (entries[0] ?? []).some((part) => reads(part.leaf, (span) => format.part(parseSpan(span), part.key)))
}

function reads(leaf: Leaf | undefined, type: (span: Span) => Reading<unknown>): boolean {
  if (leaf?.span === undefined) return false
  try {
    return 'record' in type(leaf.span)
  } catch (error) {
    if (error instanceof StorageError) return false
    throw error
  }
}

/** @throws what is no StorageError */
function issueOf(error: unknown, store: Store): StageIssue {
  if (!(error instanceof StorageError)) throw error
  return storeIssueOf(error, store.path)
}
