/**
 * Record formats: how the documents of a store become records of the one shape (V1's).
 * In some formats the parts stand inside their message's document; there `message` gives them, with positional ids.
 */
import type { Reading } from './documents.js'
import type { MessageKey, PartKey, SessionKey } from './keys.js'
import { type Part, toPart } from './parts.js'
import { type MessageReading, type SessionRecord, toMessage, toSession } from './records.js'
import { toV2Message } from './v2.js'

/** 'v1': OpenCode 1.x, files and rows alike, and era A2. 'v2': OpenCode 2.x, era D. */
export type FormatName = 'v1' | 'v2'

export interface RecordFormat {
  /** `project` is what the place of the record says; the document may not name one. */
  session(document: unknown, key: SessionKey, project: string): Reading<SessionRecord>
  /** `type` is what the place of the record says of its kind, where that stands beside the document. */
  message(document: unknown, key: MessageKey, type: string | undefined): Reading<MessageReading>
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

/** Session rows of era D are put together in the V1 shape already, and there are no part records. */
const v2: RecordFormat = { session: toSession, message: toV2Message, part: toPart }

export const FORMATS: Readonly<Record<FormatName, RecordFormat>> = { v1, v2 }
