/** What of a followed session was not told yet. */
import type { MessageId } from '../../core/ids.js'
import type { SessionRecord } from '../../core/records.js'
import type { Cursor, SignatureCursor } from '../../storage/cursor.js'
import { fingerprint } from '../../storage/fingerprint.js'
import { UNREAD } from '../plan.js'
import type { MessageNode } from '../types.js'
import type { FollowUpdate } from './follow.js'

export class News {
  #isFirst = true
  #issues = ''
  #session: string | undefined
  /** Messages that could not be read whole, and are read again at every look, by fingerprint. */
  readonly #unread = new Map<MessageId, string>()

  /** Undefined when nothing is new. */
  of(update: FollowUpdate): FollowUpdate | undefined {
    const messages = update.reread === undefined ? update.messages.filter((message) => this.#isNew(message, update.cursor)) : update.messages
    for (const id of update.removed) this.#unread.delete(id)
    const removed = [...update.removed, ...this.#goneUnread(update)]
    const issues = JSON.stringify(update.issues.filter(({ transient }) => transient !== true))
    const session = isIntact(update) ? sumOf(update.session) : this.#session
    const hasMessages = messages.length > 0 || removed.length > 0 || update.reread !== undefined
    const isNew = this.#isFirst || hasMessages || this.#areNew(issues) || session !== this.#session
    this.#isFirst = false
    this.#issues = issues
    this.#session = session
    return isNew ? { ...update, messages, removed } : undefined
  }

  /** Of a log that can be read to its end again: what was told meanwhile and is not in it. */
  #goneUnread({ cursor, messages, reread }: FollowUpdate): readonly MessageId[] {
    if (cursor?.kind !== 'log') return []
    const given = new Set(messages.map(({ key }) => key.message))
    const gone = reread === undefined ? [...this.#unread.keys()].filter((id) => !given.has(id)) : []
    this.#unread.clear()
    return gone
  }

  #areNew(issues: string): boolean {
    return issues !== '[]' && issues !== this.#issues
  }

  #isNew({ native: _, ...message }: MessageNode, cursor: Cursor | undefined): boolean {
    const id = message.key.message
    // A log that cannot be read to its end has no cursor, and gives all of it again.
    if (cursor !== undefined && (cursor.kind === 'log' || isRead(cursor, id))) {
      this.#unread.delete(id)
      return true
    }
    const told = fingerprint(JSON.stringify(message))
    const isNew = this.#unread.get(id) !== told
    this.#unread.set(id, told)
    return isNew
  }
}

function isRead({ signatures }: SignatureCursor, id: MessageId): boolean {
  return Object.hasOwn(signatures, id) && signatures[id] !== UNREAD
}

/** What stands in for a damaged record tells nothing new. */
function isIntact(update: FollowUpdate): update is FollowUpdate & { readonly session: SessionRecord } {
  return update.session !== undefined && !update.issues.some(({ key }) => key?.kind === 'session')
}

/** Of what is no mere trace of messages that came. */
function sumOf({ entries: _, time: { updated: __, ...time }, ...session }: SessionRecord): string {
  return fingerprint(JSON.stringify({ ...session, time }))
}
