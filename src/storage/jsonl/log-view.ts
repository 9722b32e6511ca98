/**
 * A session's log as it was read last: its messages, and where each file ended. A look at the files' metadata tells whether that still
 * holds; what was appended is read alone, and anything else that happened to a file has the whole log read again.
 *
 * The last line of a file may lack its newline. It is data as soon as it is a whole object, since no beginning of an object is one;
 * else it is not data yet, and damage once nobody has written to the file for a while.
 */
import { crc32 } from 'node:zlib'
import type { Clock } from '../../core/clock.js'
import { StorageError, systemCode } from '../../core/errors.js'
import type { SessionKey } from '../../core/keys.js'
import { issueOf, type StageIssue } from '../../core/stage.js'
import { fileIssue } from '../files/file-issues.js'
import type { SharedBytes, Slab, SlabPool } from '../slab.js'
import type { MessageEntry, StoreWork } from '../store.js'
import { type KeptText, keepText, scanText } from './kept-text.js'
import type { LineVisitor, Rest } from './line-scanner.js'
import type { LogAdapter, LogFile, LogSession } from './log-adapter.js'
import { type LogStat, scanLog, statIfThere, statLog, type TextRange, withWhole } from './log-bytes.js'
import { readDocumentBytes } from './log-document.js'
import { LogIndex, type LogLine, type LogMessage } from './log-index.js'
import { Skim } from './skim.js'
import { type CursorVerdict, looksLike, type TailCursor } from './tail-cursor.js'

/** A torn last line is damage when its file was not written to for so many milliseconds. */
const IDLE_MS = 10_000

/** What follows the last newline of a file, behind the NULs that it begins with. */
export interface LooseEnd {
  readonly offset: number
  readonly length: number
  readonly crc: number
  /** It was taken into the index: it is a whole object, or damage. */
  readonly taken: boolean
}

export interface ViewedFile {
  readonly file: LogFile
  /** Undefined: the file cannot be read, which an issue says. */
  readonly stat: LogStat | undefined
  /** Undefined for what never grows by appending: a document, a packed file. */
  readonly cursor: TailCursor | undefined
  readonly loose: LooseEnd | undefined
  /** What was read of it just now, in `Viewing.slab`. */
  readonly stays?: TextRange | undefined
}

export interface LogView {
  readonly session: LogSession
  readonly log: LogIndex
  readonly files: readonly ViewedFile[]
  /** What of the log could not be read. */
  readonly issues: readonly StageIssue[]
  /**
   * Of a view for reading straight through: the bytes of each file, as far as they were kept. Its lines have no checksums and its files no
   * cursors, so it serves to open lines while the bytes are held, and for nothing else.
   */
  readonly texts?: readonly (SharedBytes | undefined)[] | undefined
}

export interface Viewing {
  readonly adapter: LogAdapter
  readonly clock: Clock
  readonly work: StoreWork
  readonly pool?: SlabPool | undefined
  readonly signal?: AbortSignal | undefined
  /** Keeps the bytes (`LogView.texts`); the caller lets go of them. @default false */
  readonly straight?: boolean | undefined
  /** What was appended stays in it: it is about to be opened. */
  readonly slab?: Slab | undefined
}

/** Reads a log from its start. Damage is in the view; a file that cannot be read is an issue. */
export async function viewLog(session: LogSession, key: SessionKey, viewing: Viewing, log = new LogIndex()): Promise<LogView> {
  log.session = session.id
  const issues: StageIssue[] = []
  const files: ViewedFile[] = []
  const texts: (SharedBytes | undefined)[] = []
  for (const [at, file] of session.files.entries()) {
    viewing.signal?.throwIfAborted()
    try {
      if (isAbsent(file, viewing.work)) {
        files.push({ file, stat: ABSENT, cursor: undefined, loose: undefined })
        continue
      }
      const text = viewing.straight === true && !file.packed ? keepText(file.path, viewing.work, viewing.pool) : undefined
      texts[at] = text?.shared
      log.lasting = text !== undefined
      const viewed =
        file.form === 'document' ? await readDocument(file, at, log, viewing, text) : await readLines(file, at, undefined, log, viewing, text)
      if (viewed.damage !== undefined) issues.push(issueOf(viewed.damage, key, file.path))
      files.push(viewed.file)
    } catch (error) {
      if (systemCode(error) === undefined) throw error
      issues.push(fileIssue(error, key, file.path))
      files.push({ file, stat: undefined, cursor: undefined, loose: undefined })
    }
  }
  log.lasting = false
  return { session, log, files, issues, texts: texts.some((text) => text !== undefined) ? texts : undefined }
}

/** The view as it is now: the same one where nothing changed. `deep` reads everything again. */
export async function refreshView(view: LogView, session: LogSession, key: SessionKey, viewing: Viewing, deep = false): Promise<LogView> {
  const growth = deep || view.issues.length > 0 ? undefined : growthOf(view, session, viewing)
  if (growth === undefined) return viewLog(session, key, viewing)
  const [first] = growth
  if (first === undefined) return view
  if (view.texts !== undefined) return viewLog(session, key, viewing)
  const files = [...view.files]
  for (const { at, held } of growth) {
    const { file } = files[at] as ViewedFile
    const read = await readLines(file, at, held, view.log, viewing)
    if (read.reread !== undefined || view.log.lost !== undefined) return viewLog(session, key, viewing)
    files[at] = read.file
  }
  return { session, log: view.log, files, issues: [] }
}

/** Whether nothing happened to the files of a view, as far as their metadata tell. */
export function isUnchanged(view: Pick<LogView, 'files' | 'issues'>, session: LogSession, viewing: Viewing): boolean {
  return view.issues.length === 0 && growthOf(view, session, viewing)?.length === 0
}

/** A file that grew, and what is held of it; undefined: it was not there. */
interface Growth {
  readonly at: number
  readonly held: HeldFile | undefined
}

/** The files that grew, and where each goes on. Undefined: something else happened. */
function growthOf(view: Pick<LogView, 'files'>, session: LogSession, viewing: Viewing): readonly Growth[] | undefined {
  if (view.files.length !== session.files.length) return undefined
  const growth: Growth[] = []
  for (const [at, viewed] of view.files.entries()) {
    if (viewed.stat === undefined || viewed.file.path !== session.files[at]?.path) return undefined
    try {
      const change = changeOf({ ...viewed, stat: viewed.stat }, viewing)
      if (typeof change === 'object') return undefined
      if (change === 'grown') growth.push({ at, held: heldOf(viewed) })
    } catch (error) {
      if (systemCode(error) === undefined) throw error
      return undefined
    }
  }
  return growth
}

/** A file whose reading ended at a cursor. */
export interface HeldFile {
  readonly cursor: TailCursor
  readonly loose: LooseEnd | undefined
}

export function heldOf({ cursor, loose }: Pick<ViewedFile, 'cursor' | 'loose'>): HeldFile | undefined {
  return cursor && { cursor, loose }
}

/**
 * What became of a file, as far as its metadata tells: whether one that grew is still the same, `readLines` will see. A torn last line
 * that nobody goes on with becomes data, as if the file had grown. @throws the system's error
 */
export function changeOf({ file, stat, cursor, loose }: ViewedFile & { readonly stat: LogStat }, { work, clock }: Viewing): CursorVerdict {
  const now = statOf(file, work)
  const isTorn = loose?.taken === false && clock.now() - stat.mtimeMs >= IDLE_MS
  if (cursor === undefined) {
    if (isSame(stat, now)) return isTorn ? 'grown' : 'unchanged'
    return isSame(stat, ABSENT) && file.form === 'lines'
      ? 'grown'
      : { reread: file.packed ? 'the compressed log was replaced' : 'the snapshot was rewritten' }
  }
  const verdict = looksLike(cursor, now)
  return verdict === 'unchanged' && isTorn ? 'grown' : verdict
}

/** Of a file that is not there and need not be. */
const ABSENT: LogStat = { dev: 0, ino: 0, size: 0, mtimeMs: 0, ctimeMs: 0 }

/** @throws the system's error, unless the file is optional and not there */
export function statOf({ path, optional }: LogFile, work: StoreWork): LogStat {
  work.stats++
  return optional === true ? (statIfThere(path) ?? ABSENT) : statLog(path)
}

function isAbsent(file: LogFile, work: StoreWork): boolean {
  return file.optional === true && isSame(statOf(file, work), ABSENT)
}

export function isSame(a: LogStat, b: LogStat): boolean {
  return a.dev === b.dev && a.ino === b.ino && a.size === b.size && a.mtimeMs === b.mtimeMs && a.ctimeMs === b.ctimeMs
}

interface Read {
  readonly file: ViewedFile
  readonly damage: StorageError | undefined
  /** Why no line was fed: the file is not what is held of it. */
  readonly reread?: string | undefined
}

/** Feeds the lines that the index does not have yet. @throws the system's error */
export async function readLines(
  file: LogFile,
  at: number,
  held: HeldFile | undefined,
  log: LogIndex,
  { adapter, clock, work, pool, signal, slab }: Viewing,
  text?: KeptText,
): Promise<Read> {
  /** What follows the last newline and the index has already. */
  const known = held?.loose?.taken === true ? held.loose : undefined
  let isMet = false
  let loose: LooseEnd | undefined
  let rest: { readonly line: LogLine; readonly bytes: Buffer; readonly nuls: LogLine | undefined } | undefined
  const isKnown = ({ offset, length, crc }: Pick<LogLine, 'offset' | 'length' | 'crc'>): boolean => {
    const is = known !== undefined && known.offset === offset && known.length === length && known.crc === crc
    isMet ||= is
    return is
  }
  const visitor: LineVisitor & { rest(rest: Rest): void } = {
    visit(bytes, start, end, offset, line) {
      const crc = text === undefined ? crc32(bytes.subarray(start, end)) : 0
      const read: LogLine = { file: at, offset, length: end - start, line, crc, parsed: undefined }
      if (known === undefined || isMet || !isKnown(read)) adapter.read(bytes, start, end, read, log)
    },
    damaged(offset, length, line) {
      const read = { file: at, offset, length, line, crc: 0 }
      if (known !== undefined && !isMet) {
        const areItsNuls = offset + length === known.offset
        if (areItsNuls && known.length === 0) isMet = true
        if (areItsNuls || isKnown(read)) return
      }
      log.damaged(read)
    },
    rest({ bytes, start, end, offset, contentOffset, line, nuls, tooLong }) {
      if (end === start && nuls + tooLong === 0) return
      const content = Buffer.from(bytes.subarray(start, end))
      const place = end > start ? contentOffset : offset + nuls
      rest = {
        bytes: content,
        line: { file: at, offset: place, length: content.length + tooLong, line, crc: crc32(content) },
        nuls: nuls === 0 ? undefined : { file: at, offset, length: nuls, line, crc: 0 },
      }
    },
  }
  const { stat, cursor, damage, reread, stays } =
    text === undefined
      ? await scanLog(file, visitor, { work, signal, pool, slab, after: held?.cursor, cursor: !file.packed, sum: true })
      : scanText(text, visitor)
  if (rest !== undefined) {
    const { bytes, line, nuls } = rest
    const whole = wholeness.whole(bytes, 0, bytes.length)
    // Nobody goes on with what is packed.
    const taken = isKnown(line) || whole || file.packed || clock.now() - stat.mtimeMs >= IDLE_MS
    if (taken && !isMet) {
      if (nuls !== undefined) log.damaged(nuls)
      if (bytes.length > 0) adapter.read(bytes, 0, bytes.length, line, log)
      else if (line.length > 0) log.damaged(line)
    }
    loose = { offset: line.offset, length: line.length, crc: line.crc, taken }
  }
  if (known !== undefined && !isMet) log.lost ??= 'the last line was written on'
  return { file: { file, stat, cursor, loose, stays }, damage, reread }
}

const wholeness = new Skim({})

/** A snapshot: one object, its messages in a list. @throws the system's error */
async function readDocument(file: LogFile, at: number, log: LogIndex, { adapter, work, pool }: Viewing, text?: KeptText): Promise<Read> {
  const take = (bytes: Buffer, stat: LogStat): Read => {
    const flaw = readDocumentBytes(bytes, at, text === undefined, adapter, log)
    const damage = flaw && new StorageError('CORRUPT_RECORD', { ...flaw, path: file.path })
    return { file: { file, stat, cursor: undefined, loose: undefined }, damage }
  }
  return text === undefined ? withWhole(file.path, { work, pool }, take) : take(text.shared.bytes.subarray(0, text.length), text.stat)
}

export function entryOf({ id, created, order, parent, trait, open, leaf }: LogMessage): MessageEntry {
  return { id, created, order, log: { parent, trait, open, ...(leaf !== undefined && { leaf }) } }
}
