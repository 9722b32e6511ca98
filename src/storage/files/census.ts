/** Everything in an era B tree, file by file: records, orphans, and what is left alone and why. */
import type { MessageId, PartId, SessionId } from '../../core/ids.js'
import { messageKey, partKey, sessionKey, UNKNOWN_SESSION } from '../../core/keys.js'
import type { Slab } from '../slab.js'
import type { CensusEntry, CensusOptions } from '../store.js'
import { CensusTree, type Found, openFound } from './census-tree.js'
import type { OpenFile } from './layout.js'

const DOCUMENTS = { session_diff: 'diff', todo: 'todo', project: 'project' } as const

/** Folders that hold other things than sessions: approvals, secrets, and quarantined files. */
const LEFT_ALONE = {
  permission: 'permission',
  session_share: 'share secret',
  share: 'share secret',
  quarantine: 'quarantined by OpenCode',
} as const

type KnownFolder = 'session' | 'message' | 'part' | keyof typeof DOCUMENTS | keyof typeof LEFT_ALONE
const KNOWN: ReadonlySet<string> = new Set(['session', 'message', 'part', ...Object.keys(DOCUMENTS), ...Object.keys(LEFT_ALONE)])

/** `homeOf` names the project that a session is read from; one that is not known yet is read from where it is met first. */
export async function* treeCensus(
  path: string,
  homeOf: (session: SessionId) => string | undefined,
  open: OpenFile,
  slab: () => Slab,
  options: CensusOptions,
): AsyncGenerator<CensusEntry> {
  const tree = new CensusTree(path)
  yield* openFound(recordsOf(tree, homeOf, options), open, slab, options)
  yield* tree.leftovers()
}

/** The folders of a `storage` folder that are known; whatever else stands in it is counted. */
export function knownFolders(tree: CensusTree, known: ReadonlySet<string>): ReadonlySet<string> {
  const folders = new Set<string>()
  for (const entry of tree.entries()) {
    if (!entry.isFile && known.has(entry.name)) folders.add(entry.name)
    else if (entry.isFile && entry.name === 'migration') tree.ignore('migration marker')
    else tree.foreign(entry)
  }
  return folders
}

function* recordsOf(tree: CensusTree, homeOf: (session: SessionId) => string | undefined, { deep }: CensusOptions): Generator<Found> {
  const folders = knownFolders(tree, KNOWN)
  const has = (folder: KnownFolder): boolean => folders.has(folder)
  const sessions = new Set<string>()
  if (has('session')) yield* sessionFiles(tree, homeOf, sessions)
  yield* conversationFiles(tree, sessions, has('message'), has('part'))
  for (const [folder, kind] of Object.entries(DOCUMENTS)) {
    if (!folders.has(folder)) continue
    for (const { name, path } of tree.flat(folder)) {
      yield { kind, key: sessionKey('opencode', name as SessionId), path, orphan: kind !== 'project' && !sessions.has(name) }
    }
  }
  for (const [folder, reason] of Object.entries(LEFT_ALONE)) {
    if (!folders.has(folder)) continue
    if (deep === true && reason === LEFT_ALONE.permission) yield* checkedOnly(tree, folder, reason)
    else tree.leaveTreeAlone(reason, folder)
  }
}

/** A session that moved to another project may have left a copy behind. */
function* sessionFiles(tree: CensusTree, homeOf: (session: SessionId) => string | undefined, sessions: Set<string>): Generator<Found> {
  for (const { folder, name, path } of tree.nested('session')) {
    const home = homeOf(name as SessionId)
    const isCopy = home === undefined ? sessions.has(name) : home !== folder
    sessions.add(name)
    const found = { kind: 'session', key: sessionKey('opencode', name as SessionId), path, orphan: false } as const
    yield isCopy ? { ...found, ignored: 'copy of a session in another project folder' } : found
  }
}

/** Session by session: its messages, each with its parts. Then the messages and the parts that belong to nobody. */
function* conversationFiles(tree: CensusTree, sessions: ReadonlySet<string>, hasMessages: boolean, hasParts: boolean): Generator<Found> {
  const folders = hasMessages ? [...tree.folders('message')] : []
  const parts = new Set(hasParts ? tree.folders('part') : [])
  const owned = folders.filter((session) => sessions.has(session))
  const lost = folders.filter((session) => !sessions.has(session))
  for (const session of [...owned, ...lost]) {
    const orphan = !sessions.has(session)
    for (const { name, path } of tree.flat('message', session)) {
      const key = messageKey(sessionKey('opencode', session as SessionId), name as MessageId)
      yield { kind: 'message', key, path, orphan }
      if (parts.delete(name)) yield* partFiles(tree, orphan ? UNKNOWN_SESSION : (session as SessionId), name, orphan)
    }
  }
  for (const message of parts) yield* partFiles(tree, UNKNOWN_SESSION, message, true)
}

function* partFiles(tree: CensusTree, session: SessionId, message: string, orphan: boolean): Generator<Found> {
  const owner = messageKey(sessionKey('opencode', session), message as MessageId)
  for (const { name, path } of tree.flat('part', message)) yield { kind: 'part', key: partKey(owner, name as PartId), path, orphan }
}

/** Files that are no records, and that are JSON all the same. */
function* checkedOnly(tree: CensusTree, folder: string, reason: string): Generator<Found> {
  for (const entry of tree.entries(folder)) {
    const file = entry.isFile && entry.name.endsWith('.json') ? tree.recordFile(entry.name, folder) : undefined
    if (file !== undefined) {
      yield { kind: 'document', key: sessionKey('opencode', file.name as SessionId), path: file.path, orphan: false, ignored: reason }
    } else if (entry.isFile || entry.isLink) tree.ignore(reason)
    else tree.leaveTreeAlone(reason, folder, entry.name)
  }
}
