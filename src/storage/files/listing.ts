/** Listing a tree of files: its session files with their light records. What did not change since the listing before is not opened again. */
import { existsSync, lstatSync, type Stats, statSync } from 'node:fs'
import { join, sep } from 'node:path'
import type { Clock } from '../../core/clock.js'
import { StorageError, systemCode } from '../../core/errors.js'
import type { SessionId } from '../../core/ids.js'
import { type SessionKey, sessionKey } from '../../core/keys.js'
import { toSession } from '../../core/records.js'
import { issueOf, type StageIssue } from '../../core/stage.js'
import { fileGeneration } from '../generation.js'
import type { Listing, ListOptions, SessionEntry } from '../listing.js'
import { readInto } from '../read-file.js'
import { Slab } from '../slab.js'
import { parseSpan, SlabSpan } from '../span.js'
import type { StoreWork } from '../store.js'
import { turnsOf } from '../turns.js'
import { type FileLooks, ownVersion, stampVersions, wasUnsure } from './changes.js'
import type { FileLayout } from './layout.js'
import { ENDING, readableNames } from './names.js'
import { isFreshFile, mendTorn } from './torn-files.js'

/** What one listing leaves to the next one of the same process, besides its entries. */
interface Left {
  /** Copies that others hide, of sessions that stand in two project folders, by path: no listing tells of them. */
  readonly hidden: ReadonlyMap<string, SessionEntry>
  readonly looks: FileLooks
}

/**
 * Lists a tree. What a listing gives depends on the disk and on the listing before it, the one that it is told, and on no other:
 * listings may overlap, and the one that is thrown away takes nothing with it.
 */
export class FileListings {
  readonly #layout: FileLayout
  readonly #work: StoreWork
  readonly #clock: Clock
  readonly #left = new WeakMap<readonly SessionEntry[], Left>()
  #found: ReadonlyMap<SessionId, SessionEntry> = new Map()
  /** Listings begun, and the one that `found` is of. */
  #begun = 0
  #taken = 0

  constructor(layout: FileLayout, work: StoreWork, clock: Clock) {
    this.#layout = layout
    this.#work = work
    this.#clock = clock
  }

  /** As the listing saw them that was begun last, and later looks at some. */
  get found(): ReadonlyMap<SessionId, SessionEntry> {
    return this.#found
  }

  forget(): void {
    this.#found = new Map()
  }

  /**
   * Every session, from the newest copy where one stands in two project folders. Opens session files only.
   * Half-written ones are read again; what stays torn is damaged and said to be transient.
   */
  async list(options: ListOptions): Promise<Listing<SessionEntry>> {
    const { before, only, signal } = options
    const turn = ++this.#begun
    const now = this.#clock.now()
    const left = before && this.#left.get(before.entries)
    const listed = new Map((before?.entries ?? []).map((entry) => [entry.key.session, entry]))
    const wanted = only && new Set<string>(only.map(({ session }) => session))
    using slab = new Slab()
    const read = (file: SessionFile): void => {
      slab.used = 0
      readSession(file, slab, this.#work, this.#clock)
    }
    const { files, issues } = await this.#look(read, left?.hidden, options, wanted)
    await mendTorn(files, ({ entry }) => entry?.damage?.transient === true, read, this.#clock, signal)
    const { shown, others: copies } = newestCopies(files)
    const others = new Map(copies.map((entry) => [entry.path, { ...entry, version: `${ownVersion(entry, { clock: this.#clock, now })}||` }]))
    const { entries: stamped, looks } = await stampVersions(shown, {
      layout: this.#layout,
      work: this.#work,
      clock: this.#clock,
      now,
      before: listed,
      looks: left?.looks,
      options,
    })
    const listing = wanted === undefined ? stamped : withRest(before?.entries ?? [], stamped, wanted)
    const isSame = listing.length === before?.entries.length && listing.every((entry, at) => entry === before.entries[at])
    const entries = before !== undefined && isSame ? before.entries : listing
    this.#left.set(entries, { hidden: wanted === undefined ? others : new Map([...(left?.hidden ?? []), ...others]), looks })
    this.#take(entries, turn, wanted)
    // A tree without its root may be moved away, or not mounted: nothing tells that it was emptied.
    const isAway = listed.size > 0 && shown.length === 0 && !existsSync(this.#layout.root)
    return { entries, issues, complete: issues.length === 0 && !isAway }
  }

  /** Of a look at some the rest is as old as what it was told. */
  #take(entries: readonly SessionEntry[], turn: number, wanted: ReadonlySet<string> | undefined): void {
    if (turn < this.#taken) return
    const fresh = entries.map((entry) => [entry.key.session, entry] as const)
    if (wanted === undefined) {
      this.#taken = turn
      this.#found = new Map(fresh)
      return
    }
    this.#found = new Map([...fresh, ...this.#found, ...fresh.filter(([id]) => wanted.has(id))])
  }

  async #look(
    read: (file: SessionFile) => void,
    hidden: Left['hidden'] | undefined,
    { before, signal, deep = false }: ListOptions,
    wanted: ReadonlySet<string> | undefined,
  ): Promise<{ readonly files: readonly SessionFile[]; readonly issues: readonly StageIssue[] }> {
    const held = new Map([...(hidden ?? []), ...(before?.entries ?? []).map((entry) => [entry.path, entry] as const)])
    const issues: StageIssue[] = []
    const files: SessionFile[] = []
    const turns = turnsOf(this.#clock)
    for (const { project, path: folder } of this.#layout.sessionFolders()) {
      signal?.throwIfAborted()
      for (const name of wanted === undefined ? readableNames(folder, undefined, issues) : existing(folder, wanted, this.#work)) {
        if (turns.isDue()) await turns.take()
        const path = `${folder}${sep}${name}${ENDING}`
        const file: SessionFile = { key: sessionKey('opencode', name as SessionId), project, path }
        files.push(file)
        const known = held.get(path)
        if (known !== undefined && !deep && isAsBefore(known, this.#work)) file.entry = known
        else read(file)
        if (known !== undefined && file.entry !== undefined && isSameRecord(known, file.entry)) file.entry = known
      }
    }
    return { files, issues }
  }
}

interface SessionFile {
  readonly key: SessionKey
  readonly project: string
  readonly path: string
  /** Undefined: it was removed after its folder was listed. */
  entry?: SessionEntry | undefined
}

/** Of some sessions the names that stand in a folder. */
function existing(folder: string, wanted: ReadonlySet<string>, work: StoreWork): readonly string[] {
  return [...wanted].filter((name) => {
    work.stats++
    return isListed(join(folder, `${name}${ENDING}`))
  })
}

/** True for a link that leads nowhere, too, as in the names of a folder. */
function isListed(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false }) !== undefined
  } catch {
    return false
  }
}

/** The entries in their order, with what was looked at in the place of what it was. */
function withRest(before: readonly SessionEntry[], looked: readonly SessionEntry[], wanted: ReadonlySet<string>): readonly SessionEntry[] {
  const fresh = new Map(looked.map((entry) => [entry.key.session, entry]))
  const kept = before.flatMap((entry) => {
    if (!wanted.has(entry.key.session)) return [entry]
    const now = fresh.get(entry.key.session)
    fresh.delete(entry.key.session)
    return now === undefined ? [] : [now]
  })
  return [...kept, ...fresh.values()]
}

/** True when nothing happened to the file. Damage that may be gone without a trace in its metadata is looked at again. */
function isAsBefore(known: SessionEntry, work: StoreWork): boolean {
  if (wasUnsure(known) || (known.damage !== undefined && (known.damage.transient === true || known.damage.code !== 'CORRUPT_RECORD'))) return false
  work.stats++
  try {
    const stat = statSync(known.path, { throwIfNoEntry: false })
    return stat !== undefined && fileGeneration(stat) === known.generation
  } catch {
    return false
  }
}

function isSameRecord(a: SessionEntry, b: SessionEntry): boolean {
  if (a === b) return true
  const isIntact = a.damage === undefined && b.damage === undefined
  return isIntact && a.generation === b.generation && a.project === b.project && JSON.stringify(a.record) === JSON.stringify(b.record)
}

function newestCopies(files: readonly SessionFile[]): { readonly shown: readonly SessionEntry[]; readonly others: readonly SessionEntry[] } {
  const entries = new Map<SessionId, SessionEntry>()
  const others: SessionEntry[] = []
  for (const { entry } of files) {
    if (entry === undefined) continue
    const other = entries.get(entry.key.session)
    if (other === undefined) {
      entries.set(entry.key.session, entry)
      continue
    }
    const [shown, hidden] = updated(entry) > updated(other) ? [entry, other] : [other, entry]
    entries.set(entry.key.session, shown)
    others.push(hidden)
  }
  return { shown: [...entries.values()], others }
}

function updated(entry: SessionEntry): number {
  return entry.record?.time.updated ?? -1
}

function readSession(file: SessionFile, slab: Slab, work: StoreWork, clock: Clock): void {
  const { key, project, path } = file
  const base = { key, project, path }
  const damaged = (damage: Omit<StageIssue, 'key' | 'path'>, generation: SessionEntry['generation']): void => {
    file.entry = { ...base, record: undefined, generation, damage: { ...damage, key, path } }
  }
  let generation = '' as SessionEntry['generation']
  try {
    const take = (stat: Stats): void => {
      generation = fileGeneration(stat)
    }
    const length = readInto(slab, path, take, 'before')
    work.files++
    work.stats++
    work.bytes += length
    const reading = toSession(parseSpan(new SlabSpan(key, { path }, generation, slab, slab.used, length)), key, project)
    if ('record' in reading) file.entry = { ...base, record: reading.record, generation }
    else damaged({ code: 'CORRUPT_RECORD', reason: reading.damage }, generation)
  } catch (error) {
    if (error instanceof StorageError) {
      damaged({ ...issueOf(error, key, path), ...(isFreshFile(path, clock) && { transient: true }) }, generation)
    } else if (systemCode(error) === 'ENOENT' && !isListed(path)) file.entry = undefined
    else damaged({ code: 'UNREADABLE_RECORD', reason: `it cannot be read (${systemCode(error) ?? String(error)})` }, generation || generationAt(path))
  }
}

/** Of a file that cannot be opened, and may yet be looked at. */
function generationAt(path: string): SessionEntry['generation'] {
  try {
    return fileGeneration(statSync(path))
  } catch {
    return '' as SessionEntry['generation']
  }
}
