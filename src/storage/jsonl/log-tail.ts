/** The end of a log since a cursor: what was appended, and the messages that it added to. Costs what was appended, however long the log is. */
import { crc32 } from 'node:zlib'
import { isDocument } from '../../core/documents.js'
import { StorageError, systemCode } from '../../core/errors.js'
import { encodeKey, messageKey, partKey, type SessionKey } from '../../core/keys.js'
import type { LogCursor } from '../cursor.js'
import type { Slab } from '../slab.js'
import type { Leaf, LogTail, PartLeaf, TailMessage } from '../store.js'
import { lineGeneration, linePart } from './line-names.js'
import type { LogFile, LogSession } from './log-adapter.js'
import type { LogStat } from './log-bytes.js'
import { LogIndex, type LogMessage } from './log-index.js'
import { type LeavesOptions, type LineRead, openLines } from './log-leaves.js'
import type { LogMemory } from './log-memory.js'
import { changeOf, entryOf, heldOf, type LogView, type LooseEnd, readLines, type ViewedFile, type Viewing } from './log-view.js'
import type { TailCursor } from './tail-cursor.js'

/** Where the reading of a file ended. */
interface CursorPlace {
  readonly path: string
  readonly stat: LogStat
  /** Null where the file is not one that grows by appending. */
  readonly cursor: TailCursor | null
  /** What follows the last newline. */
  readonly loose: LooseEnd | null
}

/** What is kept of the index, and what tells that it is that still. */
interface CursorMemory {
  /** Of its shape. */
  readonly version: number
  /** CRC-32 of all that the cursor says. */
  readonly sum: number
  readonly index: LogMemory
}

const VERSION = 3

/**
 * 'unchanged': nobody wrote to the log. A view whose index was resumed: what it touched is new or got lines. Or why the log must be read
 * from its start.
 */
export type Resumed = 'unchanged' | { readonly view: LogView; readonly reread?: undefined } | { readonly view?: undefined; readonly reread: string }

/** Where a view ends. Undefined while a file of it cannot be read. */
export function cursorOf({ session, log, files }: LogView, id: string): LogCursor | undefined {
  const places = files.flatMap(({ file, stat, cursor, loose }): CursorPlace[] =>
    stat === undefined ? [] : [{ path: file.path, stat, cursor: cursor ?? null, loose: loose ?? null }],
  )
  if (places.length < session.files.length) return undefined
  const index = log.memory()
  const memory: CursorMemory = {
    version: VERSION,
    // Made when the cursor is written down: most are used once, in this process.
    get sum() {
      return sumOf(id, places, index)
    },
    index,
  }
  const cursor: LogCursor = { kind: 'log', session: id, files: places, memory }
  made.add(cursor)
  return cursor
}

/** Cursors that were not away from this process: their sums are right. */
const made = new WeakSet<LogCursor>()

function sumOf(session: string, files: readonly unknown[], index: unknown): number {
  return crc32(JSON.stringify([session, files, index]))
}

function isIntact({ session, files }: LogCursor, { version, sum, index }: CursorMemory): boolean {
  return version === VERSION && sum === sumOf(session, files, index)
}

/** Goes on from a cursor. A file that cannot be read is a reason to look again, not to fail. */
export async function resumeView(session: LogSession, cursor: LogCursor, viewing: Viewing): Promise<Resumed> {
  const places = placesOf(cursor)
  if (places === undefined) return { reread: STRANGE }
  if (session.files.length !== places.length || session.files.some(({ path }, at) => path !== places[at]?.path)) {
    return { reread: 'the log stands in other files now' }
  }
  try {
    const changes: ('unchanged' | 'grown')[] = []
    for (const [at, file] of session.files.entries()) {
      const change = changeOf(viewedOf(file, places[at] as CursorPlace), viewing)
      if (typeof change === 'object') return change
      changes.push(change)
    }
    if (changes.every((change) => change === 'unchanged')) return 'unchanged'
    const memory = cursor.memory as CursorMemory
    if (!made.has(cursor) && !isIntact(cursor, memory)) return { reread: STRANGE }
    return await resume({ session, places, changes }, new LogIndex(memory.index), viewing)
  } catch (error) {
    const code = systemCode(error)
    if (code === undefined) throw error
    return { reread: `the log cannot be read (${code})` }
  }
}

const STRANGE = 'the cursor is none of this version of the library'

interface Resuming {
  readonly session: LogSession
  readonly places: readonly CursorPlace[]
  /** What became of each file. */
  readonly changes: readonly ('unchanged' | 'grown')[]
}

async function resume({ session, places, changes }: Resuming, log: LogIndex, viewing: Viewing): Promise<Resumed> {
  log.session = session.id
  const files: ViewedFile[] = []
  for (const [at, file] of session.files.entries()) {
    const viewed = viewedOf(file, places[at] as CursorPlace)
    if (changes[at] === 'unchanged') {
      files.push(viewed)
      continue
    }
    const read = await readLines(file, at, heldOf(viewed), log, viewing)
    const reread = read.reread ?? log.lost
    if (reread !== undefined) return { reread }
    files.push(read.file)
  }
  return { view: { session, log, files, issues: [] } }
}

function viewedOf(file: LogFile, { stat, cursor, loose }: CursorPlace): ViewedFile & { readonly stat: LogStat } {
  return { file, stat, cursor: cursor ?? undefined, loose: loose ?? undefined }
}

/** @throws StorageError PLAN_TOO_LARGE */
function refuseAbove(most: number, messages: readonly LogMessage[], key: SessionKey): void {
  let bytes = 0
  for (const { lines } of messages) for (const { length } of lines) bytes += length
  if (bytes <= most) return
  throw new StorageError('PLAN_TOO_LARGE', { reason: `what is new has ${bytes} bytes, the limit is ${most}`, key: encodeKey(key) })
}

/** The messages with their lines opened. @throws StorageError PLAN_TOO_LARGE when these have more than `most` bytes */
export async function openTail(
  view: LogView,
  key: SessionKey,
  messages: readonly LogMessage[],
  slab: Slab,
  { most = Number.POSITIVE_INFINITY, ...options }: LeavesOptions & { readonly most?: number | undefined },
): Promise<Pick<LogTail, 'messages' | 'issues' | 'cursor'>> {
  refuseAbove(most, messages, key)
  const cursor = cursorOf(view, key.session)
  const reads = messages.map(({ id, lines }) => {
    const message = messageKey(key, id)
    return lines.map((line, at): LineRead => ({ key: at === 0 ? message : partKey(message, linePart(line)), line, generation: lineGeneration(line) }))
  })
  // Made before the wait: meanwhile another look at the log may add to its index.
  const entries = messages.map(entryOf)
  const leaves = await openLines(view, reads.flat(), slab, options)
  let next = 0
  const opened = entries.map((entry, at): TailMessage => {
    const own = reads[at] as readonly LineRead[]
    const [leaf, ...lines] = own.map(({ key: part }): PartLeaf => ({ key: part as PartLeaf['key'], leaf: leaves[next++] as Leaf }))
    return {
      entry,
      leaf: (leaf as PartLeaf).leaf,
      lines,
      generations: own.map(({ line }) => lineGeneration(line)),
      changed: own.reduce((latest, { line }) => Math.max(latest, view.files[line.file]?.stat?.mtimeMs ?? 0), 0),
    }
  })
  return { messages: opened, issues: view.issues, cursor }
}

/** Undefined unless the cursor has the shape of one: it may come from anywhere. */
function placesOf({ files }: LogCursor): readonly CursorPlace[] | undefined {
  const isPlace = (file: unknown): boolean =>
    isDocument(file) &&
    typeof file.path === 'string' &&
    isDocument(file.stat) &&
    [file.cursor, file.loose].every((one) => one === null || isDocument(one))
  return files.every(isPlace) ? (files as readonly CursorPlace[]) : undefined
}
