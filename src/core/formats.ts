/**
 * Record formats: how the documents of a store become records of the one shape (V1's).
 * In some formats the parts stand inside their message's document; there `message` gives them, with positional ids.
 */
import { claudeFormat } from './agents/claude.js'
import { codexFormat } from './agents/codex.js'
import { jcodeFormat } from './agents/jcode.js'
import type { MessageLine } from './agents/message-draft.js'
import { piFormat } from './agents/pi.js'
import { isDocument, type Reading } from './documents.js'
import { isFolded, modernPart, type UnfoldedMessage, unfoldMessage } from './era-a.js'
import { inlinePartKey, type MessageKey, type PartKey, type SessionKey } from './keys.js'
import { type Part, toPart } from './parts.js'
import { type MessageReading, type SessionRecord, toMessage, toSession } from './records.js'
import { toV2Message } from './v2.js'

/**
 * 'v1': OpenCode 0.x and 1.x, files and rows alike; documents that 0.x wrote may stand anywhere among them, and tell so themselves.
 * 'v2': OpenCode 2.x, era D. The others are the logs of the agent of that name.
 */
export type FormatName = 'v1' | 'v2' | 'pi' | 'claude' | 'codex' | 'jcode'

export interface RecordFormat {
  /** `project` is what the place of the record says; the document may not name one. */
  session(document: unknown, key: SessionKey, project: string): Reading<SessionRecord>
  /** `type` is what the place of the record says of its kind, where that stands beside the document. */
  message(document: unknown, key: MessageKey, type: string | undefined): Reading<MessageReading>
  part(document: unknown, key: PartKey): Reading<Part>
  /**
   * Only where messages may be made of several lines of a log: puts those of one message together, its own first. A damaged line is
   * missing. Parts have the place they stand at for an id (`inlinePartKey`).
   */
  readonly assemble?: (lines: readonly MessageLine[], key: MessageKey) => Reading<MessageReading>
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

/** Session rows of era D are put together in the V1 shape already, and there are no part records. */
const v2: RecordFormat = { session: toSession, message: toV2Message, part: toPart }

export const FORMATS: Readonly<Record<FormatName, RecordFormat>> = {
  v1,
  v2,
  pi: piFormat,
  claude: claudeFormat,
  codex: codexFormat,
  jcode: jcodeFormat,
}

/** The parts have the place they stand at for an id; one that is no part at all is kept raw. */
function foldedMessage({ message, parts }: UnfoldedMessage, key: MessageKey): Reading<MessageReading> {
  const reading = toMessage(message, key)
  if ('damage' in reading) return reading
  const odd = reading.odd === undefined ? [] : [reading.odd]
  const record = { message: reading.record, parts: parts.map((document, at) => partAt(document, at, key, odd)) }
  return odd.length === 0 ? { record } : { record, odd: odd.join(', ') }
}

function partAt(document: unknown, at: number, message: MessageKey, odd: string[]): Part {
  const key = inlinePartKey(message, at)
  const reading = toPart(document, key)
  if ('record' in reading) {
    if (reading.odd !== undefined) odd.push(reading.odd)
    return reading.record
  }
  odd.push(`part ${at}: ${reading.damage}`)
  const raw = isDocument(document) ? document : { value: document }
  return { type: 'unknown', id: key.part, sessionID: key.session, messageID: key.message, raw }
}
