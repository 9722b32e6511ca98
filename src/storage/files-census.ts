/** Everything in an era B tree, file by file: records, orphans, and what is left alone and why. */
import { type Dirent, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { systemCode } from '../core/errors.js'
import { isSafeId, type MessageId, type PartId, type SessionId } from '../core/ids.js'
import { type EntityKey, messageKey, partKey, sessionKey } from '../core/keys.js'
import type { Slab } from './slab.js'
import type { CensusEntry, Leaf, ReadOptions, Store } from './store.js'

type Open = (path: string, key: EntityKey, slab: Slab) => Promise<Leaf>
type RecordEntry = Extract<CensusEntry, { what: 'record' }>

/** Folders that hold other things than sessions: approvals, secrets, and quarantined files. */
const LEFT_ALONE: Readonly<Record<string, string>> = {
  permission: 'permission',
  session_share: 'share secret',
  share: 'share secret',
  quarantine: 'quarantined by OpenCode',
}

export async function* treeCensus(store: Store, open: Open, slab: () => Slab, options: ReadOptions): AsyncGenerator<CensusEntry> {
  const tree = new CensusTree(store.path)
  const record = async (kind: RecordEntry['kind'], key: EntityKey, path: string, orphan: boolean): Promise<RecordEntry> => {
    options.signal?.throwIfAborted()
    return { what: 'record', kind, key, path, orphan, leaf: await open(path, key, slab()) }
  }

  const sessions = new Set<string>()
  for (const { name, path } of tree.nested('session')) {
    if (sessions.has(name)) tree.ignore('copy of a session in another project folder')
    else yield await record('session', sessionKey('opencode', name as SessionId), path, false)
    sessions.add(name)
  }
  const messages = new Map<string, SessionId>()
  for (const { folder: session, name, path } of tree.nested('message')) {
    if (sessions.has(session)) messages.set(name, session as SessionId)
    const key = messageKey(sessionKey('opencode', session as SessionId), name as MessageId)
    yield await record('message', key, path, !sessions.has(session))
  }
  for (const { folder: message, name, path } of tree.nested('part')) {
    const session = sessionKey('opencode', messages.get(message) ?? UNKNOWN)
    const key = partKey(messageKey(session, message as MessageId), name as PartId)
    yield await record('part', key, path, !messages.has(message))
  }
  for (const [folder, kind] of DOCUMENTS) {
    for (const { name, path } of tree.flat(folder)) {
      yield await record(kind, sessionKey('opencode', name as SessionId), path, kind !== 'project' && !sessions.has(name))
    }
  }
  for (const [folder, reason] of Object.entries(LEFT_ALONE)) tree.leaveAlone(folder, reason)
  yield* tree.leftovers()
}

const DOCUMENTS = [
  ['session_diff', 'diff'],
  ['todo', 'todo'],
  ['project', 'project'],
] as const

/** The session of orphans: a part's path names its message alone. */
const UNKNOWN = 'unknown' as SessionId

interface RecordFile {
  readonly folder: string
  readonly name: string
  readonly path: string
}

/** Walks the tree, and counts what it passes by. */
class CensusTree {
  readonly #root: string
  readonly #ignored = new Map<string, number>()
  readonly #unreadable: { path: string; reason: string }[] = []

  constructor(root: string) {
    this.#root = root
  }

  ignore(reason: string): void {
    this.#ignored.set(reason, (this.#ignored.get(reason) ?? 0) + 1)
  }

  /** The record files in the folders of a folder. */
  *nested(kind: string): Generator<RecordFile> {
    for (const { name: folder, isFile } of this.#entries(join(this.#root, kind))) {
      if (isFile) this.ignore('foreign file')
      else yield* this.flat(kind, folder)
    }
  }

  /** The record files of one folder. */
  *flat(...folders: readonly string[]): Generator<RecordFile> {
    const path = join(this.#root, ...folders)
    for (const { name: file, isFile } of this.#entries(path)) {
      const name = file.endsWith('.json') ? file.slice(0, -5) : undefined
      if (isFile && name !== undefined && isSafeId(name)) yield { folder: folders.at(-1) ?? '', name, path: join(path, file) }
      else this.ignore(isFile ? strangeness(file) : 'foreign folder')
    }
  }

  leaveAlone(folder: string, reason: string): void {
    for (const _ of this.#entries(join(this.#root, folder))) this.ignore(reason)
  }

  *leftovers(): Generator<CensusEntry> {
    for (const [reason, count] of this.#ignored) yield { what: 'ignored', reason, count }
    for (const folder of this.#unreadable) yield { what: 'unreadable', ...folder }
  }

  #entries(path: string): { readonly name: string; readonly isFile: boolean }[] {
    try {
      return readdirSync(path, { withFileTypes: true }).map((entry) => ({ name: entry.name, isFile: isFileEntry(entry, path) }))
    } catch (error) {
      if (systemCode(error) !== 'ENOENT') this.#unreadable.push({ path, reason: `the folder cannot be read (${systemCode(error) ?? String(error)})` })
      return []
    }
  }
}

/** Symbolic links are taken for what they point to; one that leads nowhere for a file, so that opening it names the reason. */
function isFileEntry(entry: Dirent, folder: string): boolean {
  if (!entry.isSymbolicLink()) return entry.isFile()
  try {
    return statSync(join(folder, entry.name)).isFile()
  } catch {
    return true
  }
}

function strangeness(file: string): string {
  if (file.endsWith('.tmp')) return 'temporary file'
  return file.endsWith('.json') ? 'unsafe name' : 'foreign file'
}
