/** What the copies of a session that are not shown hold besides the one that is, and where they disagree with it. */
import { folderName } from '../../core/folders.js'
import type { MessageId, SessionId } from '../../core/ids.js'
import { type EntityKey, messageKey, type PartKey, partKey, type SessionKey } from '../../core/keys.js'
import type { SessionRecord } from '../../core/records.js'
import type { SessionCopy } from '../../storage/merged.js'
import type { Sessions } from '../sessions/sessions.js'
import type { SessionOrigin } from '../types.js'
import { type CopyDigest, digestCopy, type MessageDigest } from './digest.js'

/** One hidden copy, held against the one that is shown. */
export interface CopyComparison {
  readonly source: SessionOrigin
  /** How many messages and parts the copy holds, damaged ones included. */
  readonly messages: number
  readonly parts: number
  /** What the copy that is shown lacks: messages, and parts of messages that both have. */
  readonly onlyIn: { readonly messages: readonly MessageId[]; readonly parts: readonly PartKey[] }
  /** Records that both hold intact and that say different things. */
  readonly conflicts: readonly EntityKey[]
}

/**
 * Holds each hidden copy of a session against the one that is shown, in order of precedence; none for a session in one store.
 *
 * Between copies of 0.x and 1.x records are equal when all their fields are, whatever their order, ids aside. What OpenCode converted
 * (into 2.x, or from messages with their parts inside) is compared by role and visible text alone: the conversion renames tools,
 * ends what was running, and makes one message of two. There parts are not compared one by one, nor named in `onlyIn`.
 * Of the session's own record title, folder (in either spelling), parent and archiving count.
 *
 * Reads every message and part of every copy, some at a time; keeps a hash of each record.
 * @throws StorageError NOT_FOUND, AMBIGUOUS_ID, and what a store throws that cannot be read
 */
export async function compareCopies(sessions: Sessions, session: SessionKey | SessionId): Promise<readonly CopyComparison[]> {
  const shown = await sessions.locate(session)
  if (shown.hidden.length === 0) return []
  const upper = await digestCopy(sessions, shown)
  const comparisons: CopyComparison[] = []
  for (const copy of shown.hidden) comparisons.push(compare(copy, await digestCopy(sessions, copy), upper))
  return comparisons
}

function compare({ store, entry: { key } }: SessionCopy, lower: CopyDigest, upper: CopyDigest): CopyComparison {
  const messages: MessageId[] = []
  const parts: PartKey[] = []
  const conflicts: EntityKey[] = []
  if (recordsDiffer(lower.record, upper.record)) conflicts.push(key)
  let count = 0
  for (const [id, message] of lower.messages) {
    count += message.parts.size
    const other = upper.messages.get(id)
    const owner = messageKey(key, id)
    if (other === undefined) messages.push(id)
    else if (message.isFolded || other.isFolded) conflicts.push(...(sayDifferent(message, other) ? [owner] : []))
    else {
      if (differ(message.whole, other.whole)) conflicts.push(owner)
      const both = [...message.parts].filter(([part]) => other.parts.has(part))
      conflicts.push(...both.flatMap(([part, digest]) => (differ(digest, other.parts.get(part)) ? [partKey(owner, part)] : [])))
      for (const part of message.parts.keys()) if (!other.parts.has(part)) parts.push(partKey(owner, part))
    }
  }
  return { source: { kind: store.kind, path: store.path }, messages: lower.messages.size, parts: count, onlyIn: { messages, parts }, conflicts }
}

function sayDifferent(a: MessageDigest, b: MessageDigest): boolean {
  return differ(a.role, b.role) || (a.role !== undefined && b.role !== undefined && differ(a.text, b.text))
}

/** What is undefined cannot be compared. */
function differ(a: string | undefined, b: string | undefined): boolean {
  return a !== undefined && b !== undefined && a !== b
}

/** The trees of 0.x tell no folder. */
function recordsDiffer(a: SessionRecord | undefined, b: SessionRecord | undefined): boolean {
  if (a === undefined || b === undefined) return false
  const folder = ({ directory }: SessionRecord): string | undefined => (directory === '' ? undefined : folderName(directory))
  const rest = ({ title, parentID, time }: SessionRecord): string => JSON.stringify([title, parentID ?? null, time.archived ?? null])
  return differ(folder(a), folder(b)) || rest(a) !== rest(b)
}
