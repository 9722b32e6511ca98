/**
 * The sessions of an agent's logs with their light fields: one pass over the bytes of each file that counts lines and parses the few
 * that tell something, and a look at its end for the time. A file that only grew is read on where the last pass stopped.
 */
import type { Clock } from '../../core/clock.js'
import { systemCode } from '../../core/errors.js'
import { isSafeId, parseSessionId, type SessionId } from '../../core/ids.js'
import { sessionKey } from '../../core/keys.js'
import type { StageIssue } from '../../core/stage.js'
import { fileIssue } from '../files/file-issues.js'
import { writerOf } from '../log-writer.js'
import type { SlabPool } from '../slab.js'
import type { Listing, ListOptions, SessionEntry, StoreWork } from '../store.js'
import { turnsOf } from '../turns.js'
import { lightIn } from './light-line.js'
import { LOG_START, type Rest } from './line-scanner.js'
import { LineTimes } from './line-times.js'
import type { LogAdapter, LogFile, LogListing, LogMeta, LogSession } from './log-adapter.js'
import { type LogStat, scanLog, withWhole } from './log-bytes.js'
import { asHeld, asListed, byPath, byRecency, listOnly, pathOf, revisionOf, versionOf } from './log-entries.js'
import { type LogLook, MOST_NEW, mayBe } from './log-look.js'
import type { Growth, ListedLog, Pass, PassedFile } from './log-pass.js'
import { NOBODY, parsed, recordOf } from './log-record.js'
import { isSame, statOf } from './log-view.js'
import { checkCursor } from './tail-cursor.js'

/** A log that says nowhere when it was created has the time of the first of so many lines that has one. */
const FIRST_LINES = 100
/** Of so many bytes is the anchor that a listing goes on from: the light fields are worth no more. */
const ANCHOR = 4096

interface Taken {
  readonly listed: Map<string, ListedLog>
  readonly leftOut: { path: string; reason: string }[]
  readonly issues: StageIssue[]
}

export class LogSessions {
  readonly #adapter: LogAdapter
  readonly #clock: Clock
  readonly #work: StoreWork
  readonly #pool: SlabPool
  /** By the path of the first file. */
  #passes = new Map<string, Pass>()
  #listed = new Map<string, ListedLog>()
  /** Files that are no logs, or that stand behind another of the same session. */
  leftOut: readonly { readonly path: string; readonly reason: string }[] = []

  constructor(adapter: LogAdapter, clock: Clock, work: StoreWork, pool: SlabPool) {
    this.#adapter = adapter
    this.#clock = clock
    this.#work = work
    this.#pool = pool
  }

  find(session: SessionId): ListedLog | undefined {
    return this.#listed.get(session)
  }

  get all(): IterableIterator<ListedLog> {
    return this.#listed.values()
  }

  /** Metadata of the session's files at this moment; undefined for one that cannot be looked at. */
  statsNow(session: SessionId): readonly (LogStat | undefined)[] {
    return (this.#listed.get(session)?.session.files ?? []).map((file) => {
      try {
        return statOf(file, this.#work)
      } catch (error) {
        if (systemCode(error) === undefined) throw error
        return undefined
      }
    })
  }

  /** @throws StorageError STORE_UNREADABLE */
  async list(root: string, only: string | undefined, options: ListOptions = {}): Promise<Listing<SessionEntry>> {
    const { signal, before, deep = false } = options
    const held = byPath(before?.entries ?? [])
    const found = this.#find(root, only)
    const wanted = options.only && new Set(options.only.map(({ session }) => session))
    const passes = await this.#passAll(found.sessions, deep ? undefined : held, { signal, wanted })
    this.#passes = new Map(passes.map((pass) => [pathOf(pass.session), pass]))
    const taken: Taken = { listed: new Map(), leftOut: [...found.leftOut], issues: [...found.issues] }
    for (const pass of byRecency(passes)) this.#take(pass, held, taken)
    this.#listed = taken.listed
    this.leftOut = taken.leftOut
    const entries = [...taken.listed.values()].map(({ entry }) => entry)
    return { entries: asListed(before?.entries, entries), issues: taken.issues, complete: found.issues.length === 0 }
  }

  /** See `Store.look`. @throws StorageError STORE_UNREADABLE */
  async look(root: string, only: string | undefined, { wanted, before, known }: LogLook): Promise<Listing<SessionEntry> | undefined> {
    const { sessions, issues } = this.#find(root, only)
    const own = sessions.filter((session) => mayBe(session, wanted, known, this.#work))
    if (own.length > wanted.size + MOST_NEW) return undefined
    const taken: Taken = { listed: new Map(), leftOut: [], issues: [...issues] }
    for (const pass of byRecency(await this.#passAll(own, byPath(before)))) this.#take(pass, byPath(before), taken)
    const others = new Set([...known.values()].map(({ session }) => session))
    const looked = [...taken.listed.values()].filter(({ key: { session } }) => wanted.has(session) || !others.has(session))
    for (const one of looked) this.#listed.set(one.key.session, one)
    return { entries: looked.map(({ entry }) => entry), issues: taken.issues, complete: issues.length === 0 }
  }

  #find(root: string, only: string | undefined): LogListing {
    return only === undefined ? this.#adapter.list(root, only) : listOnly(this.#adapter.list(root), only)
  }

  /** `held` undefined: nothing that was read before is trusted. With `wanted` the files of the other ones that it has are not looked at. */
  async #passAll(
    sessions: readonly LogSession[],
    held: ReadonlyMap<string, SessionEntry> | undefined,
    { signal, wanted }: { readonly signal?: AbortSignal | undefined; readonly wanted?: ReadonlySet<SessionId> | undefined } = {},
  ): Promise<readonly Pass[]> {
    const passes: Pass[] = []
    const turns = turnsOf(this.#clock, signal)
    for (const session of sessions) {
      signal?.throwIfAborted()
      if (turns.isDue()) await turns.take()
      const entry = held?.get(pathOf(session))
      const passed = held && this.#passes.get(pathOf(session))
      const isLeftAlone = entry !== undefined && entry.damage === undefined && wanted?.has(entry.key.session) === false
      const isKept = isLeftAlone && passed?.session.files.length === session.files.length
      passes.push(isKept ? { ...passed, session } : await this.#pass(session, passed ?? (held && this.#unread(session, entry)), signal))
    }
    return passes
  }

  /** Of two logs with the same id the one that was written to last counts; the other one is named. */
  #take(pass: Pass, held: ReadonlyMap<string, SessionEntry>, { listed, leftOut, issues }: Taken): void {
    const { session, meta, files, damage } = pass
    const stranger = files.find(({ writer }) => writer?.other !== undefined)?.writer?.other
    if (stranger !== undefined) {
      const path = pathOf(session)
      issues.push({ code: 'FOREIGN_LOG', path, reason: `a log of ${stranger} among those of ${this.#adapter.agent}: name it by itself to read it` })
      leftOut.push({ path, reason: `a log of ${stranger}` })
      return
    }
    const id = [meta.id, session.id].find(isSafeId)
    const [file] = session.files
    if (id === undefined || file === undefined) {
      issues.push({ code: 'INVALID_ID', path: file?.path ?? '', reason: 'the log names no session that could be an id' })
      return
    }
    const key = sessionKey(this.#adapter.agent, parseSessionId(id))
    const other = listed.get(id)
    if (other !== undefined) {
      leftOut.push({ path: file.path, reason: `an older log of the session that is read from ${other.entry.path}` })
      return
    }
    const stats = files.map(({ stat }) => stat)
    const entry =
      pass.entry ??
      asHeld(held.get(file.path), {
        key,
        project: session.project,
        record: stats[0] === undefined ? undefined : recordOf(key, pass, this.#clock.now()),
        ...(damage !== undefined && stats[0] === undefined && { damage: { ...damage, key } }),
        path: file.path,
        generation: versionOf(stats),
        version: revisionOf(stats),
      })
    listed.set(id, { key, session, entry, meta, stats })
  }

  /** A log whose files are as they were when another process listed it is not read before it is written to. */
  #unread(session: LogSession, entry: SessionEntry | undefined): Pass | undefined {
    if (entry?.record === undefined || entry.damage !== undefined || entry.project !== session.project) return undefined
    try {
      const files = session.files.map((file): PassedFile => {
        const stat = statOf(file, this.#work)
        return { stat, written: stat.mtimeMs, cursor: undefined, loose: 0 }
      })
      if (versionOf(files.map(({ stat }) => stat)) !== entry.generation) return undefined
      return { entry, session, meta: { entries: entry.record.entries ?? 0, id: entry.key.session }, files, damage: undefined }
    } catch (error) {
      if (systemCode(error) === undefined) throw error
      return undefined
    }
  }

  async #pass(session: LogSession, before: Pass | undefined, signal: AbortSignal | undefined): Promise<Pass> {
    const goOn = before === undefined ? undefined : this.#growth(before, session)
    if (before !== undefined && goOn?.length === 0) return before.session === session ? before : { ...before, session }
    const sure = goOn?.find((grown) => grown.before.sure !== undefined)?.before.sure?.meta ?? before?.meta
    const meta: LogMeta = goOn !== undefined && sure !== undefined ? structuredClone(sure) : { entries: 0 }
    const files: PassedFile[] = [...(goOn === undefined ? [] : (before?.files ?? []))]
    let damage: StageIssue | undefined
    for (const [at, file] of session.files.entries()) {
      const grown = goOn?.find((one) => one.at === at)
      if (goOn !== undefined && grown === undefined) continue
      try {
        const absent = file.optional === true ? this.#absence(file) : undefined
        files[at] = absent ?? (file.form === 'document' ? await this.#document(file, meta) : await this.#lines(file, meta, grown, signal))
      } catch (error) {
        if (systemCode(error) === undefined) throw error
        damage ??= fileIssue(error, NOBODY, file.path)
        // It is still the session that it was, and no older log of that session takes its place.
        if (meta.id === undefined && before?.meta.id !== undefined) meta.id = before.meta.id
        files[at] = { stat: undefined, written: before?.files[at]?.written ?? 0, cursor: undefined, loose: 0 }
      }
    }
    return { session, meta, files, damage }
  }

  /** Of an optional file that is empty, as one that is not there. */
  #absence(file: LogFile): PassedFile | undefined {
    const stat = statOf(file, this.#work)
    return stat.size === 0 ? { stat, written: stat.mtimeMs, cursor: undefined, loose: 0 } : undefined
  }

  /** The files that grew; none: nothing changed. Undefined: read anew. */
  #growth(before: Pass, session: LogSession): readonly Growth[] | undefined {
    if (before.files.length !== session.files.length) return undefined
    const growth: Growth[] = []
    for (const [at, file] of before.files.entries()) {
      const { stat, cursor } = file
      const path = session.files[at]?.path ?? ''
      if (stat === undefined || path !== before.session.files[at]?.path) return undefined
      try {
        if (isSame(stat, statOf(session.files[at] as LogFile, this.#work))) continue
        if (cursor === undefined || checkCursor(path, cursor, this.#work).verdict !== 'grown') return undefined
        growth.push({ at, from: cursor, before: file })
      } catch (error) {
        if (systemCode(error) === undefined) throw error
        return undefined
      }
    }
    return growth
  }

  async #lines(file: LogFile, meta: LogMeta, grown: Growth | undefined, signal: AbortSignal | undefined): Promise<PassedFile> {
    const adapter = this.#adapter
    const writer = grown === undefined ? writerOf(file.path, adapter.agent) : grown.before.writer
    const times = new LineTimes(adapter, grown?.before.sure?.late ?? grown?.before.late)
    const opened = ({ size }: LogStat): void => {
      // Of an unpacked text nobody knows the end before it is there.
      if (!file.packed) times.size = size
    }
    let loose = 0
    let sure: PassedFile['sure']
    const take = (bytes: Buffer, start: number, end: number, offset: number, until: number): void => {
      writer?.see(bytes, start, end)
      times.see(bytes, start, end, offset + end - start)
      const document = adapter.tells(bytes, start, end, meta, offset, until) ? lightIn(bytes, start, end) : undefined
      if (document !== undefined) adapter.describe(document, meta, file)
      if (meta.created !== undefined || meta.first !== undefined || meta.entries > FIRST_LINES) return
      const time = adapter.timeOf(bytes, start, end)
      if (time !== undefined) meta.first = time
    }
    const visitor = {
      visit(bytes: Buffer, start: number, end: number, offset: number, _line: number, until: number): void {
        meta.entries++
        take(bytes, start, end, offset, until)
      },
      damaged(): void {
        meta.entries++
      },
      rest({ bytes, start, end, contentOffset, nuls, tooLong }: Rest): void {
        loose = (nuls > 0 ? 1 : 0) + (end > start || tooLong > 0 ? 1 : 0)
        if (end === start) return
        sure = { meta: structuredClone(meta), late: times.late }
        take(bytes, start, end, contentOffset, end)
      },
    }
    const reading = { work: this.#work, signal, pool: this.#pool, opened }
    const { stat, cursor } = await scanLog(file, visitor, { ...reading, from: grown?.from ?? LOG_START, cursor: !file.packed, anchor: ANCHOR })
    return { stat, written: stat.mtimeMs, cursor, loose, writer, late: times.late, sure }
  }

  #document(file: LogFile, meta: LogMeta): Promise<PassedFile> {
    return withWhole(file.path, { work: this.#work, pool: this.#pool }, (bytes, stat) => {
      const document = this.#adapter.split?.(bytes) ?? this.#adapter.rescue?.(bytes)
      const rest = document === undefined ? undefined : parsed(document.rest, 0, document.rest.length)
      if (document !== undefined) meta.entries += document.messages.length + (document.damage?.length ?? 0)
      if (rest !== undefined) this.#adapter.describe(rest, meta, file)
      return { stat, written: stat.mtimeMs, cursor: undefined, loose: 0 }
    })
  }
}
