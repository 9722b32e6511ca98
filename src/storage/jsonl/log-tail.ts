/** The end of a log since a cursor: what was appended, and the messages that it added to. Costs what was appended, however long the log is. */
import { isDocument } from '../../core/documents.js'
import { systemCode } from '../../core/errors.js'
import { messageKey, partKey, type SessionKey } from '../../core/keys.js'
import type { LogCursor } from '../cursor.js'
import type { Slab } from '../slab.js'
import type { Leaf, LogTail, PartLeaf, TailMessage } from '../store.js'
import type { LogSession } from './log-adapter.js'
import type { LogStat } from './log-bytes.js'
import { LogIndex, type LogMemory, type LogMessage } from './log-index.js'
import { type LeavesOptions, type LineRead, lineGeneration, linePart, openLines } from './log-leaves.js'
import { entryOf, isSame, type LogView, type LooseEnd, readLines, statOf, type ViewedFile, type Viewing } from './log-view.js'
import { checkCursor, type TailCursor } from './tail-cursor.js'

/** Where the reading of a file ended. */
interface CursorPlace {
  readonly path: string
  readonly stat: LogStat
  /** Null where the file is not one that grows by appending. */
  readonly cursor: TailCursor | null
  /** What follows the last newline and was read all the same. */
  readonly loose: LooseEnd | null
}

/** A view whose index was resumed: what it touched is new or got lines. Or why the log must be read from its start. */
export type ResumedView = { readonly view: LogView; readonly reread?: undefined } | { readonly view?: undefined; readonly reread: string }

/** Where a view ends. Undefined while a file of it cannot be read. */
export function cursorOf({ session, log, files }: LogView, id: string): LogCursor | undefined {
  const places = files.flatMap(({ file, stat, cursor, loose }): CursorPlace[] =>
    stat === undefined ? [] : [{ path: file.path, stat, cursor: cursor ?? null, loose: loose?.taken === true ? loose : null }],
  )
  return places.length === session.files.length ? { kind: 'log', session: id, files: places, memory: log.memory() } : undefined
}

/** Goes on from a cursor. A file that cannot be read is a reason to look again, not to fail. */
export async function resumeView(session: LogSession, cursor: LogCursor, viewing: Viewing): Promise<ResumedView> {
  const places = placesOf(cursor)
  if (places === undefined) return { reread: 'the cursor is none that this library made' }
  if (session.files.length !== places.length || session.files.some(({ path }, at) => path !== places[at]?.path)) {
    return { reread: 'the log stands in other files now' }
  }
  try {
    return await resume(session, places, new LogIndex(cursor.memory as LogMemory), viewing)
  } catch (error) {
    const code = systemCode(error)
    if (code === undefined) throw error
    return { reread: `the log cannot be read (${code})` }
  }
}

async function resume(session: LogSession, places: readonly CursorPlace[], log: LogIndex, viewing: Viewing): Promise<ResumedView> {
  const files: ViewedFile[] = []
  for (const [at, file] of session.files.entries()) {
    const { stat, cursor, loose } = places[at] as CursorPlace
    if (cursor === null) {
      if (!isSame(stat, statOf(file, viewing.work))) return { reread: file.packed ? 'the compressed log was replaced' : 'the snapshot was rewritten' }
      files.push({ file, stat, cursor: undefined, loose: undefined })
      continue
    }
    const { verdict } = checkCursor(file.path, cursor, viewing.work)
    if (typeof verdict === 'object') return verdict
    if (verdict === 'unchanged') files.push({ file, stat, cursor, loose: loose ?? undefined })
    else files.push((await readLines(file, at, cursor, loose ?? undefined, log, viewing)).file)
    if (log.lost !== undefined) return { reread: log.lost }
  }
  return { view: { session, log, files, issues: [] } }
}

/** The messages with their lines opened. */
export async function openTail(
  view: LogView,
  key: SessionKey,
  messages: readonly LogMessage[],
  slab: Slab,
  options: LeavesOptions,
): Promise<Pick<LogTail, 'messages' | 'issues' | 'cursor'>> {
  const cursor = cursorOf(view, key.session)
  const reads = messages.map(({ id, lines }) => {
    const message = messageKey(key, id)
    return lines.map((line, at): LineRead => ({ key: at === 0 ? message : partKey(message, linePart(line)), line, generation: lineGeneration(line) }))
  })
  const leaves = await openLines(view, reads.flat(), slab, options)
  let next = 0
  const opened = messages.map((message, at): TailMessage => {
    const own = reads[at] as readonly LineRead[]
    const [leaf, ...lines] = own.map(({ key: part }): PartLeaf => ({ key: part as PartLeaf['key'], leaf: leaves[next++] as Leaf }))
    return {
      entry: entryOf(message),
      leaf: (leaf as PartLeaf).leaf,
      lines,
      generations: own.map(({ line }) => lineGeneration(line)),
      changed: own.reduce((latest, { line }) => Math.max(latest, view.files[line.file]?.stat?.mtimeMs ?? 0), 0),
    }
  })
  return { messages: opened, issues: view.issues, cursor }
}

/** Undefined unless the cursor has the shape of one: it may come from anywhere. */
function placesOf({ files, memory }: LogCursor): readonly CursorPlace[] | undefined {
  const isPlace = (file: unknown): boolean =>
    isDocument(file) &&
    typeof file.path === 'string' &&
    isDocument(file.stat) &&
    [file.cursor, file.loose].every((one) => one === null || isDocument(one))
  const isMemory = isDocument(memory) && ['messages', 'entries', 'calls', 'groups'].every((name) => Array.isArray(memory[name]))
  return isMemory && isDocument(memory.notes) && Array.isArray(files) && files.every(isPlace) ? (files as readonly CursorPlace[]) : undefined
}
