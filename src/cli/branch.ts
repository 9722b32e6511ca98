/** Which messages of a session `show` shows: all, or those of the active branch. */
import { activePath, type MessageId, messageKey, type SessionMeta, type Sessions } from '../index.js'

export interface BranchOptions {
  readonly branch: 'active' | 'all'
  readonly last?: number
}

export interface Branch {
  /** The active branch; undefined where messages form no tree, and all are of it. */
  readonly active: ReadonlySet<MessageId> | undefined
  /** So many messages from the end are to be read. @default all */
  readonly last: number | undefined
  shows(message: MessageId): boolean
}

/** Lists the messages of a log; opens none. */
export async function branchOf(sessions: Sessions, { key }: SessionMeta, { branch, last }: BranchOptions): Promise<Branch> {
  const all = { last, shows: () => true }
  if (key.agent === 'opencode') return { ...all, active: undefined }
  const { entries } = await sessions.listMessages(await sessions.locate(key))
  const path = activePath({ messages: entries.map(({ id, log }) => ({ key: messageKey(key, id), ...(log && { log }) })) })
  const active = new Set(path)
  if (branch === 'all') return { ...all, active }
  const shown = new Set(last === undefined ? path : path.slice(Math.max(0, path.length - last)))
  const first = entries.findIndex(({ id }) => shown.has(id))
  return { active, last: last && entries.length - first, shows: (message) => shown.has(message) }
}
