/**
 * OpenCode era B (1.0 to 1.1): a tree of JSON files, each rewritten in place while a message streams.
 *
 *   session/<project>/<session>.json   message/<session>/<message>.json   part/<message>/<part>.json
 *   session_diff/<session>.json        todo/<session>.json                project/<project>.json
 *
 * Paths say who a record is: copied era A files lack ids, and files move between project folders.
 * Parts are keyed by their message alone, so a part folder without its message belongs to nobody.
 */
import { type Stats, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from '../core/clock.js'
import { systemCode } from '../core/errors.js'
import { byIdTime, compareText, idTime, type MessageId, type PartId, type SessionId } from '../core/ids.js'
import { type EntityKey, type MessageKey, messageKey, type PartKey, partKey, type SessionKey } from '../core/keys.js'
import type { StageIssue } from '../core/stage.js'
import { treeCensus } from './files-census.js'
import { listSessionFiles, namesIn } from './files-listing.js'
import { fingerprint } from './fingerprint.js'
import { fileGeneration, unreadableGeneration } from './generation.js'
import { looksTorn, readInto } from './read-file.js'
import type { Slab } from './slab.js'
import { SlabSpan } from './span.js'
import type { Leaf, Listing, MessageEntry, PartEntry, PartLeaf, Price, Read, ReadOptions, SessionEntry, Store, StoreWork } from './store.js'

/** A half-written file is read again, at most this often, after 15, 30, 60 and 120 ms. */
const RETRIES = 4
const RETRY_MS = 15
/** Only files written this recently can still be in the middle of a write, in milliseconds. */
const FRESH_MS = 1000

/** Opens an era B tree. Nothing is read until it is asked for. */
export function openFileStore(path: string, clock: Clock): Store {
  return new FileStore(path, clock)
}

class FileStore implements Store {
  readonly agent = 'opencode'
  readonly kind = 'opencode-json'
  readonly supports = { recordedTime: false, rows: false, map: false }
  readonly work: StoreWork = { files: 0, rows: 0, bytes: 0, stats: 0 }
  readonly path: string
  readonly #clock: Clock
  #sessions = new Map<SessionId, SessionEntry>()

  constructor(path: string, clock: Clock) {
    this.path = path
    this.#clock = clock
  }

  async sessions(options: ReadOptions = {}): Promise<Listing<SessionEntry>> {
    const listing = listSessionFiles(this.path, this.work, options.signal)
    this.#sessions = new Map(listing.entries.map((entry) => [entry.key.session, entry]))
    return listing
  }

  async messageCounts(sessions: readonly SessionKey[]): Promise<readonly number[]> {
    return sessions.map(({ session }) => readableNames(join(this.path, 'message', session), undefined, []).length)
  }

  async messages(session: SessionKey, options: { readonly previous?: readonly MessageEntry[] | undefined } = {}): Promise<Listing<MessageEntry>> {
    const folder = join(this.path, 'message', session.session)
    const issues: StageIssue[] = []
    const previous = options.previous ?? []
    const [held, names] = sinceListed(previous, readableNames(folder, session, issues))
    if (names.length === 0 && held.length === previous.length) return listing(previous, issues)
    const near = this.#sessions.get(session.session)?.record?.time.created || this.#clock.now()
    const fresh = names.map((name): MessageEntry => {
      const created = idTime(name, near) ?? (this.#price(join(folder, `${name}.json`))?.changed || near)
      return { id: name as MessageId, created }
    })
    return listing(
      [...held, ...fresh].sort((a, b) => a.created - b.created || compareText(a.id, b.id)),
      issues,
    )
  }

  async parts(
    session: SessionKey,
    messages: readonly MessageId[],
    options: { readonly price?: boolean } = {},
  ): Promise<Listing<readonly PartEntry[]>> {
    const near = this.#near(session)
    const issues: StageIssue[] = []
    const lists = messages.map((message) => {
      const folder = join(this.path, 'part', message)
      const entries = readableNames(folder, messageKey(session, message), issues).flatMap((name): PartEntry[] => {
        const id = name as PartEntry['id']
        if (options.price !== true) return [{ id }]
        const price = this.#price(join(folder, `${name}.json`))
        return price === undefined ? [] : [{ id, price }]
      })
      return byIdTime(entries, (entry) => entry.id, near)
    })
    return listing(lists, issues)
  }

  async price(reads: readonly Read[]): Promise<readonly (Price | undefined)[]> {
    return reads.map((read) => this.#price(this.#pathOf(read.kind, read.key)))
  }

  async open(reads: readonly Read[], slab: Slab, options: ReadOptions = {}): Promise<readonly Leaf[]> {
    const opened = reads.map((read) => ({ read, leaf: this.#open(this.#pathOf(read.kind, read.key), read.key, read.price, slab) }))
    await this.#mend(opened, ({ read }) => this.#reopen(read, slab), options.signal)
    return opened.map(({ leaf }) => leaf)
  }

  async openParts(
    session: SessionKey,
    messages: readonly MessageKey[],
    slab: Slab,
    options: ReadOptions = {},
  ): Promise<Listing<readonly PartLeaf[]>> {
    const near = this.#near(session)
    const issues: StageIssue[] = []
    const opened: { key: PartKey; leaf: Leaf }[] = []
    const lists = messages.map((message) => {
      const folder = join(this.path, 'part', message.message)
      return byIdTime(readableNames(folder, message, issues), (name) => name, near).map((name) => {
        const key = partKey(message, name as PartId)
        const part = { key, leaf: this.#open(`${folder}/${name}.json`, key, undefined, slab) }
        opened.push(part)
        return part
      })
    })
    await this.#mend(opened, ({ key }) => this.#open(this.#pathOf('part', key), key, undefined, slab), options.signal)
    return listing(lists, issues)
  }

  /** Parts are rewritten without a trace in any folder, so every file of the session is stat'ed; none is opened. */
  async revision(session: SessionKey): Promise<string> {
    const { entries } = await this.messages(session)
    const ids = entries.map((entry) => entry.id)
    const parts = await this.parts(session, ids, { price: true })
    const files = ids.map((id, at) => [
      id,
      this.#price(join(this.path, 'message', session.session, `${id}.json`))?.generation,
      ...(parts.entries[at] ?? []).map((entry) => `${entry.id} ${entry.price?.generation}`),
    ])
    return fingerprint(JSON.stringify([this.#price(this.#pathOf('session', session))?.generation, files]))
  }

  census(slab: () => Slab, options: ReadOptions = {}): ReturnType<Store['census']> {
    const open = async (path: string, key: EntityKey, into: Slab): Promise<Leaf> => {
      const opened = { leaf: this.#open(path, key, undefined, into) }
      if (opened.leaf.span !== undefined && opened.leaf.torn === true) {
        await this.#mend([opened], () => this.#open(path, key, undefined, into), options.signal)
      }
      return opened.leaf
    }
    return treeCensus(this, open, slab, options)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#sessions.clear()
  }

  #near(session: SessionKey): number {
    return this.#sessions.get(session.session)?.record?.time.updated || this.#clock.now()
  }

  #pathOf(kind: Read['kind'], key: EntityKey): string {
    switch (kind) {
      case 'session':
        return this.#sessions.get(key.session)?.path ?? join(this.path, 'session', 'unknown', `${key.session}.json`)
      case 'todo':
        return join(this.path, 'todo', `${key.session}.json`)
      case 'diff':
        return join(this.path, 'session_diff', `${key.session}.json`)
      case 'message':
        return join(this.path, 'message', key.session, `${(key as MessageKey).message}.json`)
      case 'part':
        return join(this.path, 'part', (key as PartKey).message, `${(key as PartKey).part}.json`)
    }
  }

  #open(path: string, key: EntityKey, price: Price | undefined, slab: Slab): Leaf {
    let stat: Stats | undefined
    try {
      const length = readInto(
        slab,
        path,
        price === undefined
          ? undefined
          : (seen) => {
              stat = seen
            },
      )
      this.work.files++
      this.work.bytes += length
      const generation = stat === undefined ? undefined : fileGeneration(stat)
      if (generation !== price?.generation) return { issue: { ...stale, key, path } }
      const torn = looksTorn(slab.chunk, slab.used, length) && this.#isFresh(path)
      const span = new SlabSpan(key, { path }, generation, slab, slab.used, length)
      slab.used += length
      return torn ? { span, torn } : { span }
    } catch (error) {
      return { issue: fileIssue(error, key, path) }
    }
  }

  /** Reads torn leaves again until they are whole or no longer fresh; what stays torn keeps its mark. */
  async #mend<T extends { leaf: Leaf }>(opened: readonly T[], reopen: (item: T) => Leaf, signal: AbortSignal | undefined): Promise<void> {
    for (let attempt = 0; attempt < RETRIES; attempt++) {
      const torn = opened.filter(({ leaf }) => leaf.span !== undefined && leaf.torn === true)
      if (torn.length === 0) return
      await this.#clock.sleep(RETRY_MS * 2 ** attempt, signal)
      for (const item of torn) item.leaf = reopen(item)
    }
  }

  /** The rewrite that made the file whole also moved its generation, so the mended leaf takes the new one. */
  #reopen({ kind, key, price }: Read, slab: Slab): Leaf {
    const path = this.#pathOf(kind, key)
    return this.#open(path, key, price && this.#price(path), slab)
  }

  #isFresh(path: string): boolean {
    const price = this.#price(path)
    return price !== undefined && this.#clock.now() - price.changed < FRESH_MS
  }

  #price(path: string): Price | undefined {
    this.work.stats++
    try {
      const stat = statSync(path, { throwIfNoEntry: false })
      return stat && { generation: fileGeneration(stat), bytes: stat.size, changed: stat.mtimeMs }
    } catch (error) {
      return { generation: unreadableGeneration(systemCode(error) ?? String(error)), bytes: 0, changed: 0 }
    }
  }
}

const stale = { code: 'STALE_SPAN', reason: 'the file was rewritten after it was planned', transient: true } as const

function fileIssue(error: unknown, key: EntityKey, path: string): StageIssue {
  if (systemCode(error) === 'ENOENT') return { code: 'STALE_SPAN', key, path, reason: 'the file was removed after it was listed', transient: true }
  return { code: 'UNREADABLE_RECORD', key, path, reason: `it cannot be read (${systemCode(error) ?? String(error)})` }
}

/** The record names of a folder; one that cannot be read has none, and an issue. */
function readableNames(path: string, key: EntityKey | undefined, issues: StageIssue[]): string[] {
  try {
    return namesIn(path)
  } catch (error) {
    issues.push({ code: 'UNREADABLE_RECORD', ...(key && { key }), path, reason: `the folder cannot be read (${systemCode(error) ?? String(error)})` })
    return []
  }
}

/** Which of the previous entries are still there, and which names are new. */
function sinceListed(previous: readonly MessageEntry[], names: readonly string[]): readonly [readonly MessageEntry[], readonly string[]] {
  // Folders are listed in the order of the names, which is that of time but for a wrap: then the new ones are the last.
  if (previous.every(({ id }, at) => id === names[at])) return [previous, names.slice(previous.length)]
  const left = new Set(names)
  const held = previous.filter(({ id }) => left.delete(id))
  return [held, [...left]]
}

function listing<T>(entries: readonly T[], issues: readonly StageIssue[]): Listing<T> {
  return { entries, issues, complete: issues.length === 0 }
}
