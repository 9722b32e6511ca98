/** Everything below the `project` folder of era A, file by file: records, orphans, and what is left alone and why. */
import type { MessageId, PartId, SessionId } from '../../core/ids.js'
import { type EntityKey, messageKey, partKey, sessionKey, UNKNOWN_SESSION } from '../../core/keys.js'
import type { Slab } from '../slab.js'
import type { CensusEntry, CensusOptions, LeafKind } from '../store.js'
import { CensusTree, type Found, openFound, type RecordFile } from './census-tree.js'
import type { OpenFile } from './layout.js'

const STATE = 'app.json'
/** What stands in a project's folder beside its `storage`. Snapshots are git's objects, too many to be counted one by one. */
const BESIDE: Readonly<Record<string, string>> = { [STATE]: 'application state', snapshots: 'git snapshots', snapshot: 'git snapshots' }
const COPY = 'of the copy of a session in another project folder'

/** `homeOf` names the project that a session is read from, when it has a file in several. */
export async function* eraACensus(
  path: string,
  homeOf: (session: SessionId) => string | undefined,
  open: OpenFile,
  slab: () => Slab,
  options: CensusOptions,
): AsyncGenerator<CensusEntry> {
  const tree = new CensusTree(path)
  yield* openFound(everyRecord(tree, homeOf, options), open, slab, options)
  yield* tree.leftovers()
}

function* everyRecord(tree: CensusTree, homeOf: (session: SessionId) => string | undefined, { deep }: CensusOptions): Generator<Found> {
  for (const project of tree.folders()) {
    const state = deep === true ? tree.recordFile(STATE, project) : undefined
    const folders = yield* besideSessions(tree, project, state)
    yield* recordsOf(tree, project, folders, homeOf)
  }
}

/** Accounts for everything in a project's folder but its sessions, and gives the folders in which these may stand. */
function* besideSessions(tree: CensusTree, project: string, state: RecordFile | undefined): Generator<Found, ReadonlySet<string>> {
  let found = false
  for (const entry of tree.entries(project)) {
    const { name, isFile } = entry
    if (name === 'storage' && !isFile) found = true
    else if (name === 'broken' && !isFile) tree.leaveTreeAlone('set aside by OpenCode', project, name)
    else if (name === STATE && isFile && state !== undefined) yield document(state)
    else if (BESIDE[name] === undefined) tree.foreign(entry, project)
    else tree.ignore(BESIDE[name])
  }
  const folders = new Set<string>()
  if (!found) return folders
  for (const entry of tree.entries(project, 'storage')) {
    if (entry.name === 'migration' && entry.isFile) tree.ignore('migration marker')
    else if (entry.name !== 'session' || entry.isFile) tree.foreign(entry, project, 'storage')
  }
  const root = [project, 'storage', 'session']
  for (const entry of tree.entries(...root)) {
    if (entry.name === 'share' && !entry.isFile) tree.leaveTreeAlone('share secret', ...root, entry.name)
    else if (!entry.isFile && ['info', 'message', 'part'].includes(entry.name)) folders.add(entry.name)
    else tree.foreign(entry, ...root)
  }
  return folders
}

function document({ name, path }: RecordFile): Found {
  return { kind: 'document', key: sessionKey('opencode', name as SessionId), path, orphan: false, ignored: 'application state' }
}

function* recordsOf(
  tree: CensusTree,
  project: string,
  folders: ReadonlySet<string>,
  homeOf: (session: SessionId) => string | undefined,
): Generator<Found> {
  const root = [project, 'storage', 'session']
  const sessions = new Set<string>()
  /** A record of this project, unless its session is read from another. */
  const record = (kind: LeafKind, key: EntityKey, path: string, orphan: boolean): Found => {
    const isCopy = (homeOf(key.session) ?? project) !== project
    return isCopy ? { kind, key, path, orphan, ignored: `${kind} ${COPY}` } : { kind, key, path, orphan }
  }
  for (const { name, path } of folders.has('info') ? tree.flat(...root, 'info') : []) {
    sessions.add(name)
    yield record('session', sessionKey('opencode', name as SessionId), path, false)
  }
  const messages = new Map<string, SessionId>()
  const known = new Set<string>()
  for (const { folder, name, path } of folders.has('message') ? tree.nested(...root, 'message') : []) {
    const session = folder as SessionId
    if (sessions.has(session)) messages.set(name, session)
    known.add(`${session}/${name}`)
    yield record('message', messageKey(sessionKey('opencode', session), name as MessageId), path, !sessions.has(session))
  }
  for (const { session, message, name, path } of folders.has('part') ? partFiles(tree, [...root, 'part'], messages) : []) {
    const key = partKey(messageKey(sessionKey('opencode', session), message as MessageId), name as PartId)
    yield record('part', key, path, !sessions.has(session) || !known.has(`${session}/${message}`))
  }
}

type PartFile = RecordFile & { readonly session: SessionId; readonly message: string }

/** Parts below their session and message; or below their message alone, whose session is then looked up. */
function* partFiles(tree: CensusTree, root: readonly string[], messages: ReadonlyMap<string, SessionId>): Generator<PartFile> {
  for (const outer of tree.folders(...root)) {
    for (const { name, isFile } of tree.entries(...root, outer)) {
      if (isFile) {
        const file = tree.recordFile(name, ...root, outer)
        if (file !== undefined) yield { ...file, session: messages.get(outer) ?? UNKNOWN_SESSION, message: outer }
      } else {
        for (const file of tree.flat(...root, outer, name)) yield { ...file, session: outer as SessionId, message: name }
      }
    }
  }
}
