/**
 * Record formats: how the documents of a store become records of the one shape (V1's).
 * In some formats the parts stand inside their message's document; there `message` gives them, with positional ids.
 */
import type { Reading } from './documents.js'
import type { MessageKey, PartKey, SessionKey } from './keys.js'
import { type Part, toPart } from './parts.js'
import { type Message, type SessionRecord, toMessage, toSession } from './records.js'

/** 'v1': OpenCode 1.x, files and rows alike, and era A2. */
export type FormatName = 'v1'

/** A message with the parts that its own document holds; none where parts are documents of their own. */
export interface MessageReading {
  readonly message: Message
  readonly parts: readonly Part[]
}

export interface RecordFormat {
  /** `project` is what the place of the record says; the document may not name one. */
  session(document: unknown, key: SessionKey, project: string): Reading<SessionRecord>
  message(document: unknown, key: MessageKey): Reading<MessageReading>
  part(document: unknown, key: PartKey): Reading<Part>
}

const NO_PARTS: readonly Part[] = []

const v1: RecordFormat = {
  session: toSession,
  message: (document, key) => {
    const reading = toMessage(document, key)
    return 'damage' in reading ? reading : { ...reading, record: { message: reading.record, parts: NO_PARTS } }
  },
  part: toPart,
}

export const FORMATS: Readonly<Record<FormatName, RecordFormat>> = { v1 }
