/**
 * OpenCode before its databases: trees of JSON files. Era B (1.0 to 1.1) rewrites each in place while a message streams:
 *
 *   session/<project>/<session>.json   message/<session>/<message>.json   part/<message>/<part>.json
 *   session_diff/<session>.json        todo/<session>.json                project/<project>.json
 *
 * Era A (0.x) keeps a tree per project (`era-a-layout.ts`), written through a temporary file.
 * Paths say who a record is: copied era A files lack ids, and files move between project folders.
 * Parts are keyed by their message alone, so a part folder without its message belongs to nobody.
 */
import { existsSync, type Stats } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from '../../core/clock.js'
import { byIdTime, compareText, idTime, type MessageId, type SessionId } from '../../core/ids.js'
import { type EntityKey, type MessageKey, messageKey, type PartKey, partKey, type SessionKey } from '../../core/keys.js'
import type { StageIssue } from '../../core/stage.js'
import { fingerprint } from '../fingerprint.js'
import { fileGeneration } from '../generation.js'
import { looksTorn, readInto } from '../read-file.js'
import type { Slab } from '../slab.js'
import { SlabSpan } from '../span.js'
import type {
  Leaf,
  Listing,
  ListOptions,
  MessageEntry,
  PartEntry,
  PartLeaf,
  Price,
  Read,
  ReadOptions,
  SessionEntry,
  Store,
  StoreTotals,
  StoreWork,
} from '../store.js'
import { eraALayout } from './era-a-layout.js'
import { absent, fileIssue, rewritten } from './file-issues.js'
import { priceFile } from './file-price.js'
import type { MapFile } from './frozen-tree.js'
import { eraBLayout, type FileLayout } from './layout.js'
import { FileListings } from './listing.js'
import { lastCreated, listing, sinceListed } from './messages.js'
import { allNames, countNames, readableNames } from './names.js'
import { isFreshFile, mendTorn } from './torn-files.js'
import { filesTotals } from './totals.js'

/** Opens an era B tree. Nothing is read until it is asked for. */
export function openFileStore(path: string, clock: Clock, mapFile?: MapFile): Store {
  return new FileStore(eraBLayout(path), clock, mapFile)
}

/** Opens the `project` folder of era A, all its trees as one store. Nothing is read until it is asked for. */
export function openEraAStore(path: string, clock: Clock): Store {
  return new FileStore(eraALayout(path), clock)
}

class FileStore implements Store {
  readonly agent = 'opencode'
  readonly kind: FileLayout['kind']
  readonly format = 'v1'
  readonly supports = { recordedTime: false, rows: false, map: false, partLeaves: true }
  readonly work: StoreWork = { files: 0, rows: 0, bytes: 0, stats: 0 }
  readonly path: string
  readonly #layout: FileLayout
  readonly #clock: Clock
  readonly #mapFile: MapFile | undefined
  readonly #listings: FileListings

  constructor(layout: FileLayout, clock: Clock, mapFile?: MapFile) {
    this.#mapFile = mapFile
    this.kind = layout.kind
    this.path = layout.path
    this.#layout = layout
    this.#clock = clock
    this.#listings = new FileListings(layout, this.work, clock)
  }

  async sessions(options: ListOptions = {}): Promise<Listing<SessionEntry>> {
    return this.#listings.list(options)
  }

  async ids(): Promise<readonly SessionId[]> {
    const names = this.#layout.sessionFolders().flatMap(({ path }) => allNames(path))
    return [...new Set(names)] as SessionId[]
  }

  async messageCounts(sessions: readonly SessionKey[]): Promise<readonly (number | undefined)[]> {
    return sessions.map(({ session }) => countNames(this.#messageFolder(session)))
  }

  async newest(sessions: readonly SessionKey[]): Promise<Listing<MessageEntry | undefined>> {
    const issues: StageIssue[] = []
    const entriesOf = (key: SessionKey): readonly MessageEntry[] =>
      readableNames(this.#messageFolder(key.session), key, issues).map((name) => this.#messageEntry(key.session, name))
    return listing(
      sessions.map((key) => lastCreated(entriesOf(key))),
      issues,
    )
  }

  async messages(session: SessionKey, options: { readonly previous?: readonly MessageEntry[] | undefined } = {}): Promise<Listing<MessageEntry>> {
    const folder = this.#messageFolder(session.session)
    const issues: StageIssue[] = []
    const previous = options.previous ?? []
    const [held, names] = sinceListed(previous, readableNames(folder, session, issues))
    if (names.length === 0 && held.length === previous.length) return listing(previous, issues)
    const fresh = names.map((name) => this.#messageEntry(session.session, name))
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
    const lists = messages.map((message) =>
      this.#partFiles(messageKey(session, message), near, issues).flatMap(({ name, folder }): PartEntry[] => {
        const id = name as PartEntry['id']
        if (options.price !== true) return [{ id }]
        const price = this.#price(`${folder}/${name}.json`)
        return price === undefined ? [] : [{ id, price }]
      }),
    )
    return listing(lists, issues)
  }

  async price(reads: readonly Read[]): Promise<readonly (Price | undefined)[]> {
    return reads.map((read) => {
      const path = this.#pathOf(read.kind, read.key)
      return path === undefined ? undefined : this.#price(path)
    })
  }

  async open(reads: readonly Read[], slab: Slab, options: ReadOptions = {}): Promise<readonly Leaf[]> {
    const opened = reads.map((read) => {
      const path = this.#pathOf(read.kind, read.key)
      return {
        read,
        path: path ?? this.path,
        leaf: path === undefined ? { issue: absent(read.key, this.path) } : this.#open(path, read.key, read.price, slab),
      }
    })
    await this.#mend(opened, ({ read, path }) => this.#reopen(read, path, slab), options.signal)
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
    const opened: { key: PartKey; path: string; leaf: Leaf }[] = []
    const lists = messages.map((message) =>
      this.#partFiles(message, near, issues).map(({ name, folder }) => {
        const key = partKey(message, name as PartKey['part'])
        const path = `${folder}/${name}.json`
        const part = { key, path, leaf: this.#open(path, key, undefined, slab) }
        opened.push(part)
        return part
      }),
    )
    await this.#mend(opened, ({ key, path }) => this.#open(path, key, undefined, slab), options.signal)
    return listing(lists, issues)
  }

  /** Parts are rewritten without a trace in any folder, so every file of the session is stat'ed; none is opened. */
  async revision(session: SessionKey): Promise<string> {
    const { entries } = await this.messages(session)
    const ids = entries.map((entry) => entry.id)
    const parts = await this.parts(session, ids, { price: true })
    const folder = this.#messageFolder(session.session)
    const files = ids.map((id, at) => [
      id,
      this.#price(join(folder, `${id}.json`))?.generation,
      ...(parts.entries[at] ?? []).map((entry) => `${entry.id} ${entry.price?.generation}`),
    ])
    return fingerprint(JSON.stringify([this.#price(this.#sessionFile(session.session))?.generation, files]))
  }

  async totals(options: ReadOptions = {}): Promise<StoreTotals> {
    return filesTotals(this.#layout, options.signal)
  }

  census(slab: () => Slab, options: ReadOptions = {}): ReturnType<Store['census']> {
    const open = async (path: string, key: EntityKey, into: Slab): Promise<Leaf> => {
      const opened = { leaf: this.#open(path, key, undefined, into) }
      if (opened.leaf.span !== undefined && opened.leaf.torn === true) {
        await this.#mend([opened], () => this.#open(path, key, undefined, into), options.signal)
      }
      return opened.leaf
    }
    return this.#layout.census((session) => this.#project(session), open, slab, options)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listings.forget()
  }

  #messageEntry(session: SessionId, name: string): MessageEntry {
    const near = this.#listings.found.get(session)?.record?.time.created || this.#clock.now()
    const created = idTime(name, near) ?? (this.#price(join(this.#messageFolder(session), `${name}.json`))?.changed || near)
    return { id: name as MessageId, created }
  }

  #near(session: SessionKey): number {
    return this.#listings.found.get(session.session)?.record?.time.updated || this.#clock.now()
  }

  #project(session: SessionId): string | undefined {
    return this.#listings.found.get(session)?.project
  }

  #sessionFile(session: SessionId): string {
    return this.#listings.found.get(session)?.path ?? join(this.path, 'session', 'unknown', `${session}.json`)
  }

  #messageFolder(session: SessionId): string {
    return this.#layout.messageFolder(session, this.#project(session))
  }

  #partFiles(message: MessageKey, near: number, issues: StageIssue[]): { readonly name: string; readonly folder: string }[] {
    const folders = this.#layout.partFolders(message.session, message.message, this.#project(message.session))
    const files = folders.flatMap((folder) => readableNames(folder, message, issues).map((name) => ({ name, folder })))
    return byIdTime(files, (file) => file.name, near)
  }

  /** Undefined for what this era has no files for. */
  #pathOf(kind: Read['kind'], key: EntityKey): string | undefined {
    switch (kind) {
      case 'session':
        return this.#sessionFile(key.session)
      case 'todo':
      case 'diff':
        return this.#layout.documentFile(kind, key.session)
      case 'message':
        return join(this.#messageFolder(key.session), `${(key as MessageKey).message}.json`)
      case 'part':
        return this.#partPath(key as PartKey)
    }
  }

  #partPath(key: PartKey): string {
    const [usual, other] = this.#layout.partFolders(key.session, key.message, this.#project(key.session))
    const path = join(usual, `${key.part}.json`)
    return other === undefined || existsSync(path) ? path : join(other, `${key.part}.json`)
  }

  #open(path: string, key: EntityKey, price: Price | undefined, slab: Slab): Leaf {
    let stat: Stats | undefined
    try {
      const mapped = this.#mapFile?.(path, key, price, slab)
      if (mapped !== undefined) return mapped
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
      if (generation !== price?.generation) return { issue: rewritten(key, path) }
      const torn = looksTorn(slab.chunk, slab.used, length) && isFreshFile(path, this.#clock)
      const span = new SlabSpan(key, { path }, generation, slab, slab.used, length)
      slab.used += length
      return torn ? { span, torn } : { span }
    } catch (error) {
      return { issue: fileIssue(error, key, path) }
    }
  }

  async #mend<T extends { leaf: Leaf }>(opened: readonly T[], reopen: (item: T) => Leaf, signal: AbortSignal | undefined): Promise<void> {
    const mend = (item: T): void => {
      item.leaf = reopen(item)
    }
    await mendTorn(opened, ({ leaf }) => leaf.span !== undefined && leaf.torn === true, mend, this.#clock, signal)
  }

  /** The rewrite that made the file whole also moved its generation, so the mended leaf takes the new one. */
  #reopen({ key, price }: Read, path: string, slab: Slab): Leaf {
    return this.#open(path, key, price && this.#price(path), slab)
  }

  #price(path: string): Price | undefined {
    return priceFile(path, this.work)
  }
}
