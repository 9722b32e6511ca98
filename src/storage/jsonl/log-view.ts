/**
 * A session's log as it was read last: its messages, and where each file ended. A look at the files' metadata tells whether that still
 * holds; what was appended is read alone, and anything else that happened to a file has the whole log read again.
 *
 * The last line of a file may lack its newline. It is data as soon as it is a whole object, since no beginning of an object is one;
 * else it is not data yet, and damage once nobody has written to the file for a while.
 */
import { readFileSync } from 'node:fs'
import { crc32 } from 'node:zlib'
import type { Clock } from '../../core/clock.js'
import { StorageError, systemCode } from '../../core/errors.js'
import type { SessionKey } from '../../core/keys.js'
import type { StageIssue } from '../../core/stage.js'
import { fileIssue } from '../file-issues.js'
import type { MessageEntry, StoreWork } from '../store.js'
import { type LineVisitor, LOG_START, type LogPlace, type Rest } from './line-scanner.js'
import type { LogAdapter, LogFile, LogSession } from './log-adapter.js'
import { type LogStat, scanLog, statLog } from './log-bytes.js'
import { LogIndex, type LogLine, type LogMessage } from './log-index.js'
import { Skim } from './skim.js'
import { checkCursor, type TailCursor } from './tail-cursor.js'

/** A torn last line is damage when its file was not written to for so many milliseconds. */
const IDLE_MS = 10_000

/** What follows the last newline of a file. */
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
}

export interface LogView {
  readonly session: LogSession
  readonly log: LogIndex
  readonly files: readonly ViewedFile[]
  /** What of the log could not be read. */
  readonly issues: readonly StageIssue[]
}

export interface Viewing {
  readonly adapter: LogAdapter
  readonly clock: Clock
  readonly work: StoreWork
  readonly signal?: AbortSignal | undefined
}

/** Reads a log from its start. Damage is in the view; a file that cannot be read is an issue. */
export async function viewLog(session: LogSession, key: SessionKey, viewing: Viewing, log = new LogIndex()): Promise<LogView> {
  const issues: StageIssue[] = []
  const files: ViewedFile[] = []
  for (const [at, file] of session.files.entries()) {
    try {
      if (isAbsent(file, viewing.work)) {
        files.push({ file, stat: ABSENT, cursor: undefined, loose: undefined })
        continue
      }
      const viewed = file.form === 'document' ? readDocument(file, at, log, viewing) : await readLines(file, at, LOG_START, undefined, log, viewing)
      if (viewed.damage !== undefined) issues.push({ code: viewed.damage.code, key, path: file.path, reason: viewed.damage.reason })
      files.push(viewed.file)
    } catch (error) {
      if (systemCode(error) === undefined) throw error
      issues.push(fileIssue(error, key, file.path))
      files.push({ file, stat: undefined, cursor: undefined, loose: undefined })
    }
  }
  return { session, log, files, issues }
}

/** The view as it is now: the same one where nothing changed. `deep` reads everything again. */
export async function refreshView(view: LogView, session: LogSession, key: SessionKey, viewing: Viewing, deep = false): Promise<LogView> {
  const growth = deep || view.issues.length > 0 ? undefined : growthOf(view, session, viewing)
  if (growth === undefined) return viewLog(session, key, viewing)
  const [first] = growth
  if (first === undefined) return view
  const files = [...view.files]
  for (const { at, from } of growth) {
    const { file, loose } = files[at] as ViewedFile
    const read = await readLines(file, at, from, loose, view.log, viewing)
    if (view.log.lost !== undefined) return viewLog(session, key, viewing)
    files[at] = read.file
  }
  return { session, log: view.log, files, issues: [] }
}

/** The files that grew, and where each goes on. Undefined: something else happened. */
function growthOf(
  view: LogView,
  session: LogSession,
  { work, clock }: Viewing,
): readonly { readonly at: number; readonly from: LogPlace }[] | undefined {
  if (view.files.length !== session.files.length) return undefined
  const growth: { at: number; from: LogPlace }[] = []
  for (const [at, { file, stat, cursor, loose }] of view.files.entries()) {
    if (stat === undefined || file.path !== session.files[at]?.path) return undefined
    try {
      if (cursor === undefined) {
        if (!isSame(stat, statOf(file, work))) return undefined
        continue
      }
      const { verdict } = checkCursor(file.path, cursor, work)
      const isTorn = loose !== undefined && !loose.taken && clock.now() - stat.mtimeMs >= IDLE_MS
      if (verdict === 'grown' || (verdict === 'unchanged' && isTorn)) growth.push({ at, from: cursor })
      else if (verdict !== 'unchanged') return undefined
    } catch (error) {
      if (systemCode(error) === undefined) throw error
      return undefined
    }
  }
  return growth
}

/** Of a file that is not there and need not be. */
const ABSENT: LogStat = { dev: 0, ino: 0, size: 0, mtimeMs: 0, ctimeMs: 0 }

/** @throws the system's error, unless the file is optional and not there */
export function statOf({ path, optional }: LogFile, work: StoreWork): LogStat {
  work.stats++
  try {
    return statLog(path)
  } catch (error) {
    if (optional === true && systemCode(error) === 'ENOENT') return ABSENT
    throw error
  }
}

function isAbsent(file: LogFile, work: StoreWork): boolean {
  return file.optional === true && isSame(statOf(file, work), ABSENT)
}

export function isSame(a: LogStat, b: LogStat): boolean {
  return a.dev === b.dev && a.ino === b.ino && a.size === b.size && a.mtimeMs === b.mtimeMs
}

interface Read {
  readonly file: ViewedFile
  readonly damage: StorageError | undefined
}

/** Feeds the lines from `from` on. `held`: a loose end that the index has already. @throws the system's error */
export async function readLines(
  file: LogFile,
  at: number,
  from: LogPlace,
  held: LooseEnd | undefined,
  log: LogIndex,
  { adapter, clock, work, signal }: Viewing,
): Promise<Read> {
  let loose: LooseEnd | undefined
  let rest: { readonly line: LogLine; readonly bytes: Buffer } | undefined
  const visitor: LineVisitor & { rest(rest: Rest): void } = {
    visit(bytes, start, end, offset, line) {
      const crc = crc32(bytes.subarray(start, end))
      if (held?.taken === true && held.offset === offset) {
        if (held.length !== end - start || held.crc !== crc) log.lost ??= 'the last line was written on'
        return
      }
      adapter.read(bytes, start, end, { file: at, offset, length: end - start, line, crc }, log)
    },
    damaged(offset, length, line) {
      log.damaged({ file: at, offset, length, line, crc: 0 })
    },
    rest({ bytes, start, end, contentOffset, line }) {
      if (end > start)
        rest = { bytes: Buffer.from(bytes.subarray(start, end)), line: { file: at, offset: contentOffset, length: end - start, line, crc: 0 } }
    },
  }
  const { stat, cursor, damage } = await scanLog(file, visitor, { work, signal, from, cursor: !file.packed })
  if (rest !== undefined) {
    const { bytes, line } = rest
    const crc = crc32(bytes)
    const known = held?.taken === true && held.offset === line.offset && held.crc === crc && held.length === line.length
    const whole = wholeness.whole(bytes, 0, bytes.length)
    const taken = whole || known || clock.now() - stat.mtimeMs >= IDLE_MS
    if (taken && !known) {
      if (held?.taken === true) log.lost ??= 'the last line was written on'
      if (whole) adapter.read(bytes, 0, bytes.length, { ...line, crc }, log)
      else log.damaged({ ...line, crc })
    }
    loose = { offset: line.offset, length: line.length, crc, taken }
  }
  return { file: { file, stat, cursor, loose }, damage }
}

const wholeness = new Skim({})

/** A snapshot: one object, its messages in a list. @throws the system's error */
function readDocument(file: LogFile, at: number, log: LogIndex, { adapter, work }: Viewing): Read {
  const stat = statOf(file, work)
  const bytes = readFileSync(file.path)
  work.files++
  work.bytes += bytes.length
  const document = adapter.split?.(bytes)
  for (const [place, { start, end }] of (document?.messages ?? []).entries()) {
    const crc = crc32(bytes.subarray(start, end))
    adapter.read(bytes, start, end, { file: at, offset: start, length: end - start, line: place + 1, crc }, log)
  }
  const damage =
    document === undefined ? new StorageError('CORRUPT_RECORD', { reason: 'the snapshot is no whole object', path: file.path }) : undefined
  return { file: { file, stat, cursor: undefined, loose: undefined }, damage }
}

export function entryOf({ id, created, order, parent, trait, open }: LogMessage): MessageEntry {
  return { id, created, order, log: { parent, trait, open } }
}
