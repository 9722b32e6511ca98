/** Everything in an era B tree, file by file: records, orphans, and what is left alone and why. */
import type { MessageId, PartId, SessionId } from '../core/ids.js'
import { type EntityKey, messageKey, partKey, sessionKey } from '../core/keys.js'
import { CensusTree } from './census-tree.js'
import type { OpenFile } from './file-layout.js'
import type { Slab } from './slab.js'
import type { CensusEntry, ReadOptions } from './store.js'

type RecordEntry = Extract<CensusEntry, { what: 'record' }>

/** Folders that hold other things than sessions: approvals, secrets, and quarantined files. */
const LEFT_ALONE: Readonly<Record<string, string>> = {
  permission: 'permission',
  session_share: 'share secret',
  share: 'share secret',
  quarantine: 'quarantined by OpenCode',
}

export async function* treeCensus(path: string, open: OpenFile, slab: () => Slab, options: ReadOptions): AsyncGenerator<CensusEntry> {
  const tree = new CensusTree(path)
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
