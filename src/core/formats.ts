/**
 * Record formats: how the documents of a store become records of the one shape (V1's).
 * In some formats the parts stand inside their message's document; there `message` gives them, with positional ids.
 */
import { isDocument, type Reading } from './documents.js'
import { isFolded, modernPart, type UnfoldedMessage, unfoldMessage } from './era-a.js'
import { parsePartId } from './ids.js'
import { type MessageKey, type PartKey, partKey, type SessionKey } from './keys.js'
import { type Part, toPart } from './parts.js'
import { type Message, type SessionRecord, toMessage, toSession } from './records.js'

/** 'v1': OpenCode 0.x and 1.x, files and rows alike; documents that 0.x wrote may stand anywhere among them, and tell so themselves. */
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
    if (isDocument(document) && isFolded(document)) return foldedMessage(unfoldMessage(document), key)
    const reading = toMessage(document, key)
    return 'damage' in reading ? reading : { ...reading, record: { message: reading.record, parts: NO_PARTS } }
  },
  part: (document, key) => toPart(isDocument(document) ? modernPart(document) : document, key),
}

export const FORMATS: Readonly<Record<FormatName, RecordFormat>> = { v1 }

/** The parts have the place they stand at for an id; one that is no part at all is kept raw. */
function foldedMessage({ message, parts }: UnfoldedMessage, key: MessageKey): Reading<MessageReading> {
  const reading = toMessage(message, key)
  if ('damage' in reading) return reading
  const odd = reading.odd === undefined ? [] : [reading.odd]
  const record = { message: reading.record, parts: parts.map((document, at) => partAt(document, at, key, odd)) }
  return odd.length === 0 ? { record } : { record, odd: odd.join(', ') }
}

function partAt(document: unknown, at: number, message: MessageKey, odd: string[]): Part {
  const key = partKey(message, parsePartId(`${message.message}_${at}`))
  const reading = toPart(document, key)
  if ('record' in reading) {
    if (reading.odd !== undefined) odd.push(reading.odd)
    return reading.record
  }
  odd.push(`part ${at}: ${reading.damage}`)
  const raw = isDocument(document) ? document : { value: document }
  return { type: 'unknown', id: key.part, sessionID: key.session, messageID: key.message, raw }
}
