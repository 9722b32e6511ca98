/** Everything below the `project` folder of era A, file by file: records, orphans, and what is left alone and why. */
import type { MessageId, PartId, SessionId } from '../core/ids.js'
import { type EntityKey, messageKey, partKey, sessionKey } from '../core/keys.js'
import { CensusTree, type RecordFile } from './census-tree.js'
import type { OpenFile } from './file-layout.js'
import type { Slab } from './slab.js'
import type { CensusEntry, LeafKind, ReadOptions } from './store.js'

/** What stands in a project's folder beside its `storage`. Snapshots are git's objects, too many to be counted one by one. */
const BESIDE: Readonly<Record<string, string>> = { 'app.json': 'application state', snapshots: 'git snapshots', snapshot: 'git snapshots' }
const COPY = 'of the copy of a session in another project folder'

/** One record to be, before its file is opened. */
interface Found {
  readonly kind: LeafKind
  readonly key: EntityKey
  readonly path: string
  readonly orphan: boolean
}

/** `homeOf` names the project that a session is read from, when it has a file in several. */
export async function* eraACensus(
  path: string,
  homeOf: (session: SessionId) => string | undefined,
  open: OpenFile,
  slab: () => Slab,
  options: ReadOptions,
): AsyncGenerator<CensusEntry> {
  const tree = new CensusTree(path)
  for (const project of tree.folders()) {
    if (!hasStorage(tree, project)) continue
    for (const { kind, key, path, orphan } of recordsOf(tree, project, homeOf)) {
      options.signal?.throwIfAborted()
      yield { what: 'record', kind, key, path, orphan, leaf: await open(path, key, slab()) }
    }
  }
  yield* tree.leftovers()
}

/** Accounts for everything in a project's folder but its sessions. */
function hasStorage(tree: CensusTree, project: string): boolean {
  let found = false
  for (const { name, isFile } of tree.entries(project)) {
    if (name === 'storage' && !isFile) found = true
    else if (name === 'broken' && !isFile) tree.leaveTreeAlone('set aside by OpenCode', project, name)
    else tree.ignore(BESIDE[name] ?? (isFile ? 'foreign file' : 'foreign folder'))
  }
  if (!found) return false
  for (const { name, isFile } of tree.entries(project, 'storage')) {
    if (name === 'migration') tree.ignore('migration marker')
    else if (name !== 'session' || isFile) tree.ignore(isFile ? 'foreign file' : 'foreign folder')
  }
  for (const { name, isFile } of tree.entries(project, 'storage', 'session')) {
    if (name === 'share' && !isFile) tree.leaveTreeAlone('share secret', project, 'storage', 'session', name)
    else if (isFile || !['info', 'message', 'part'].includes(name)) tree.ignore(isFile ? 'foreign file' : 'foreign folder')
  }
  return true
}

function* recordsOf(tree: CensusTree, project: string, homeOf: (session: SessionId) => string | undefined): Generator<Found> {
  const root = [project, 'storage', 'session']
  const sessions = new Set<string>()
  /** A record of this project, unless its session is read from another. */
  const record = (kind: LeafKind, key: EntityKey, path: string, orphan: boolean): Found[] => {
    if ((homeOf(key.session) ?? project) === project) return [{ kind, key, path, orphan }]
    tree.ignore(`${kind} ${COPY}`)
    return []
  }
  for (const { name, path } of tree.flat(...root, 'info')) {
    sessions.add(name)
    yield* record('session', sessionKey('opencode', name as SessionId), path, false)
  }
  const messages = new Map<string, SessionId>()
  const known = new Set<string>()
  for (const { folder, name, path } of tree.nested(...root, 'message')) {
    const session = folder as SessionId
    if (sessions.has(session)) messages.set(name, session)
    known.add(`${session}/${name}`)
    yield* record('message', messageKey(sessionKey('opencode', session), name as MessageId), path, !sessions.has(session))
  }
  for (const { session, message, name, path } of partFiles(tree, [...root, 'part'], messages)) {
    const key = partKey(messageKey(sessionKey('opencode', session), message as MessageId), name as PartId)
    yield* record('part', key, path, !sessions.has(session) || !known.has(`${session}/${message}`))
  }
}

type PartFile = RecordFile & { readonly session: SessionId; readonly message: string }

/** Parts below their session and message; or below their message alone, whose session is then looked up. */
function* partFiles(tree: CensusTree, root: readonly string[], messages: ReadonlyMap<string, SessionId>): Generator<PartFile> {
  for (const outer of tree.folders(...root)) {
    for (const { name, isFile } of tree.entries(...root, outer)) {
      if (isFile) {
        const file = tree.recordFile(name, ...root, outer)
        if (file !== undefined) yield { ...file, session: messages.get(outer) ?? UNKNOWN, message: outer }
      } else {
        for (const file of tree.flat(...root, outer, name)) yield { ...file, session: outer as SessionId, message: name }
      }
    }
  }
}

/** The session of parts whose message is nowhere. */
const UNKNOWN = 'unknown' as SessionId
