/** What is told of one session, and trees of sessions with their messages. */
import { join } from 'node:path'
import { StorageError } from '../../src/core/errors.js'
import type { SessionId } from '../../src/core/ids.js'
import type { SessionKey } from '../../src/core/keys.js'
import { findChildLinks } from '../../src/tree/sessions/children.js'
import type { Sessions } from '../../src/tree/sessions/sessions.js'
import type { CorpusSession } from './corpus.js'
import { pretty, writeFileAt, writeTreeSessions } from './store-fixtures.js'
import { treeOf } from './trees.js'

/** With messages and parts, where `writeTreeSessions` writes the sessions alone. */
export function writeTree(tree: string, sessions: readonly CorpusSession[]): void {
  writeTreeSessions(tree, sessions)
  for (const { id: session, messages } of sessions) {
    for (const { id, data, time, parts } of messages) {
      writeFileAt(join(tree, 'message', session, `${id}.json`), pretty({ id, sessionID: session, ...data }), time)
      for (const part of parts) {
        const text = pretty({ id: part.id, sessionID: session, messageID: id, ...part.data })
        writeFileAt(join(tree, 'part', id, `${part.id}.json`), text, part.time)
      }
    }
  }
}

/** All that a command tells of one session, or the code of what it says instead. */
export async function told(sessions: Sessions, session: SessionKey | SessionId): Promise<unknown> {
  try {
    const { entry, store, hidden } = await sessions.locate(session)
    const meta = sessions.index.session(entry.key)
    const tree = await treeOf(sessions, { session: entry.key })
    const links = await findChildLinks(sessions, tree)
    const copies = hidden.map((copy) => [copy.store.kind, copy.store.path, copy.entry.generation])
    return JSON.parse(JSON.stringify({ meta, path: entry.path, store: store.path, copies, tree, links }))
  } catch (error) {
    if (error instanceof StorageError) return error.code
    throw error
  }
}
