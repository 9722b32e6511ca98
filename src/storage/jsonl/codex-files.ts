/** Which files below a root are Codex's logs: names only, but of two files of one session, of which one may be empty or cut off. */
import { closeSync, openSync, readSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import { systemCode } from '../../core/errors.js'
import { isSafeId } from '../../core/ids.js'
import type { StageIssue } from '../../core/stage.js'
import { isFolder, isOrMayBe } from '../file-type.js'
import type { LogListing, LogSession } from './log-adapter.js'
import { type FoundFile, filesUnder } from './log-folders.js'

const CURRENT = 'sessions'
const ARCHIVE = 'archived_sessions'

interface Log {
  readonly path: string
  readonly id: string
  readonly packed: boolean
  readonly archived: boolean
}

type LeftOut = { path: string; reason: string }

/**
 * `root`: the home of Codex, which holds `sessions` and `archived_sessions`, or a folder with logs at any depth. `only`: a log in it,
 * which is read whatever stands beside it.
 * @throws StorageError STORE_UNREADABLE when the root itself cannot be listed
 */
export function listCodex(root: string, only?: string): LogListing {
  const roots = homeFolders(root)
  const logs: Log[] = []
  const issues: StageIssue[] = []
  const leftOut: LeftOut[] = roots[0] === root ? [] : sideFiles(root)
  for (const folder of roots) {
    const found = filesUnder(folder, () => undefined)
    issues.push(...found.issues)
    leftOut.push(...found.leftOut)
    for (const file of found.files) {
      const log = logOf(file, basename(folder) === ARCHIVE || file.folders.includes(ARCHIVE))
      if (typeof log === 'string') leftOut.push({ path: file.path, reason: log })
      else logs.push(log)
    }
  }
  return { sessions: sessionsOf(only === undefined ? logs : logs.filter(({ path }) => path === only), leftOut), issues, leftOut }
}

/** What else stands in the home of Codex (its settings, its secrets) is not even looked at. */
function homeFolders(root: string): readonly string[] {
  const folders = [CURRENT, ARCHIVE].map((name) => join(root, name)).filter((path) => isOrMayBe(() => isFolder(path)))
  return folders.length > 0 ? folders : [root]
}

function sideFiles(root: string): LeftOut[] {
  return filesUnder(root, () => 'no folder of sessions').files.flatMap(({ path, name }) => {
    const reason = sideReason(name)
    return reason === undefined ? [] : [{ path, reason }]
  })
}

function sideReason(name: string): string | undefined {
  if (name === 'history.jsonl') return "a history of prompts, the agent's own"
  if (name === 'session_index.jsonl' || /^state.*\.sqlite3?$/.test(name)) return "an index of the agent's own"
  return undefined
}

const LOG = /^(.+)\.jsonl(\.zst)?$/
const ROLLOUT = /^rollout-.*?([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$/i

/** The id in the name that Codex itself gives a log; `name` is with its ending. */
export function rolloutId(name: string): string | undefined {
  return ROLLOUT.exec(LOG.exec(name)?.[1] ?? '')?.[1]
}

/** The log that a file is, or why it is none. */
function logOf({ path, name }: FoundFile, archived: boolean): Log | string {
  const [, stem, zst] = LOG.exec(name) ?? []
  const reason = sideReason(name)
  if (reason !== undefined) return reason
  if (stem === undefined) return 'no log of a session'
  const id = rolloutId(name) ?? stem
  return isSafeId(id) ? { path, id, packed: zst !== undefined, archived } : 'its name is no id'
}

/** One file for a session: one that says something, a current one before an archived one, a plain one before its compressed copy, else the newest name. */
function sessionsOf(logs: readonly Log[], leftOut: LeftOut[]): readonly LogSession[] {
  const read = new Map<string, Log>()
  for (const log of logs) {
    const other = read.get(log.id)
    if (other === undefined || comesBefore(log, other)) read.set(log.id, log)
  }
  for (const log of logs) {
    const other = read.get(log.id)
    if (other !== undefined && other !== log) leftOut.push({ path: log.path, reason: behind(other, log) })
  }
  return [...read.values()].map(({ path, id, packed, archived }) => ({
    id,
    project: '',
    files: [{ path, form: 'lines' as const, packed }],
    ...(archived && { archived }),
  }))
}

function comesBefore(log: Log, other: Log): boolean {
  const [isEmpty, isOtherEmpty] = [saysNothing(log, other), saysNothing(other, log)]
  if (isEmpty !== isOtherEmpty) return isOtherEmpty
  if (log.archived !== other.archived) return !log.archived
  return log.packed === other.packed ? log.path > other.path : !log.packed
}

/** A head is no longer than so many bytes. */
const HEAD = 2 ** 20

/** To make a text smaller costs no more than so many bytes. */
const PACKING = 64

/**
 * Whether a log has no second line, as one that is just being unpacked, or was not unpacked to its end: then it may also be smaller than what it is
 * unpacked from.
 */
function saysNothing({ path, packed }: Log, other: Log): boolean {
  try {
    const { size } = statSync(path)
    if (packed || size === 0) return size === 0
    if (other.packed && size + PACKING < statSync(other.path).size) return true
    return size <= HEAD && !hasTwoLines(path, size)
  } catch (error) {
    if (systemCode(error) === undefined) throw error
    return false
  }
}

const NEWLINE = 0x0a

/** @throws the system's error */
function hasTwoLines(path: string, size: number): boolean {
  const file = openSync(path, 'r')
  try {
    const bytes = Buffer.alloc(size)
    const read = bytes.subarray(0, readSync(file, bytes, 0, size, 0))
    const first = read.indexOf(NEWLINE)
    return first >= 0 && read.indexOf(NEWLINE, first + 1) >= 0
  } finally {
    closeSync(file)
  }
}

function behind(read: Log, left: Log): string {
  if (read.packed && !left.packed && read.archived === left.archived) return `an empty or unfinished copy of ${basename(read.path)}`
  if (left.archived && !read.archived) return 'an archived log of a session that is current again'
  return left.packed && !read.packed ? `the compressed copy of ${basename(read.path)}` : `another log of the session of ${basename(read.path)}`
}
