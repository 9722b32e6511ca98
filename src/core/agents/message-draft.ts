/** Messages of agents' logs on their way to the one shape (V1's): drafts of a message and its parts, and the lines they come from. */
import { type Document, isDocument, present, type Reading } from '../documents.js'
import { inlinePartKey, type MessageKey } from '../keys.js'
import { type Part, toPart } from '../parts.js'
import type { Message, MessageReading } from '../records.js'
import { utcTime } from './utc-time.js'

/** A line of a message that is made of several, parsed. */
export interface MessageLine {
  readonly document: unknown
  /** 'own': what the message says. 'answer': it answers calls of the message's tools, whatever else it says. */
  readonly use: 'own' | 'answer'
}

/** A part in the V1 shape without its ids, and what it was made from. */
export interface PartDraft {
  /** Without undefined fields. It becomes the part: its ids are set. */
  readonly part: Document
  readonly stored: unknown
}

export interface MessageDraft {
  /** In the V1 shape, without ids: `role`, `time.created` (epoch ms) and what else there is; undefined fields are left out. */
  readonly message: Document & { readonly role: 'user' | 'assistant'; readonly time: { readonly created: number; readonly completed?: number } }
  readonly parts: readonly PartDraft[]
}

/** The place of a part in its message is all that names it. What is no known part is kept raw. */
export function readingOf({ message, parts }: MessageDraft, key: MessageKey): Reading<MessageReading> {
  let odd: string | undefined
  const typed = parts.map(({ part, stored }, at): Part => {
    const own = inlinePartKey(key, at)
    const reading = toPart(part, own)
    if ('record' in reading && reading.record.type !== 'unknown') return reading.record
    odd ??= 'damage' in reading ? reading.damage : reading.odd
    const ids = { id: own.part, sessionID: key.session, messageID: key.message }
    return { type: 'unknown', ...ids, raw: { ...(isDocument(stored) ? stored : { content: stored }), ...ids } }
  })
  const record = present(message)
  record.id = key.message
  record.sessionID = key.session
  return { record: { message: record as unknown as Message, parts: typed }, ...(odd !== undefined && { odd }) }
}

/** A line of a kind that is neither asked nor answered, or that is not known: kept raw. */
export function rawReading(document: Document, key: MessageKey): Reading<MessageReading> {
  const raw = { ...document, id: key.message, sessionID: key.session }
  return { record: { message: { role: 'unknown', id: key.message, sessionID: key.session, raw }, parts: [] } }
}

/** The last moment that a `Date` can hold, epoch milliseconds. */
const LAST_TIME = 8.64e15

/** Epoch milliseconds of an ISO time or of a number of them; undefined for what no calendar has. */
export function timeIn(value: unknown): number | undefined {
  const time = typeof value === 'string' ? (utcTime(value) ?? Date.parse(value)) : value
  return typeof time === 'number' && time >= 0 && time <= LAST_TIME ? time : undefined
}

/** JSON of a parsed value; undefined where it nests deeper than it can be written. */
export function jsonOf(value: unknown): string | undefined {
  try {
    return JSON.stringify(value)
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  }
}
