/** Trees as plain data, for comparing stores with each other and with the corpus they were written from. */
import type { Document } from '../../src/core/documents.js'
import { parseSessionId, type SessionId } from '../../src/core/ids.js'
import { sessionKey } from '../../src/core/keys.js'
import type { StageIssue } from '../../src/core/stage.js'
import type { Store } from '../../src/storage/store.js'
import { runSessionTreeFlow } from '../../src/tree/flow.js'
import { createSessionSet } from '../../src/tree/sessions/session-set.js'
import type { Sessions } from '../../src/tree/sessions/sessions.js'
import type { FlowResult, SessionHydratedTree, TreeRequest } from '../../src/tree/types.js'
import type { CorpusSession } from './corpus.js'

export interface PlainTree {
  readonly session: unknown
  readonly messages: readonly { readonly id: string; readonly message: unknown; readonly parts: readonly unknown[]; readonly damagedParts: number }[]
}

/** What every store says in the same words: no source, no signatures. */
export function plain(tree: SessionHydratedTree): PlainTree {
  return {
    session: tree.session,
    messages: tree.messages.map(({ key, message, parts, damagedParts }) => ({ id: key.message, message, parts, damagedParts })),
  }
}

export async function treeOf(sessions: Sessions, request: TreeRequest): Promise<SessionHydratedTree> {
  return resultOf(await runSessionTreeFlow(sessions, request))
}

export function resultOf<T>(result: FlowResult<T>): T {
  if (result.status === 'failed') throw result.error
  return result.value
}

export function issuesIn(result: FlowResult<unknown>): readonly StageIssue[] {
  return result.status === 'partial' ? result.issues : []
}

export function keyOf(session: string): ReturnType<typeof sessionKey> {
  return sessionKey('opencode', parseSessionId(session))
}

export function setOf(...stores: readonly Store[]): Promise<Sessions> {
  return createSessionSet(stores)
}

/** What hydrating the session must give, worked out from the corpus alone. `bad` parts are those of a known kind in a bad shape. */
export function expectedTree(session: CorpusSession, record: Document): PlainTree {
  return {
    session: record,
    messages: session.messages.map(({ id, data, parts }) => ({
      id,
      message: { id, sessionID: session.id, ...data },
      parts: parts.map((part) => {
        const ids = { id: part.id, sessionID: session.id as SessionId, messageID: id }
        const raw = { ...ids, ...part.data }
        const unknown = part.data.type === 'hologram' || (part.data.type === 'text' && part.data.text === undefined)
        return unknown ? { type: 'unknown', ...ids, raw } : raw
      }),
      damagedParts: 0,
    })),
  }
}

/** The first item of a stream. */
export async function firstOf<T>(items: AsyncIterable<T>): Promise<T> {
  for await (const item of items) return item
  throw new Error('the stream is empty')
}
