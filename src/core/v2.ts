/**
 * Messages of OpenCode 2 (era D) in the V1 shape: one document holds the message and its parts.
 * The kinds are those of its `session_message.type`; docs/formats.md has them as a table.
 *
 * Rules: a field that V1 has a place for goes there under V1's name, any other stays as it is on the message;
 * a kind that is neither asked nor answered (a switch, a turn's end) and a kind not known are `unknown`, kept raw.
 */
import { type Document, isDocument, missingField, present, type Reading, type Shape } from './documents.js'
import { inlinePartKey, type MessageKey } from './keys.js'
import { type Part, toPart } from './parts.js'
import { knownMessage, type Message, type MessageReading } from './records.js'
import { agentPart, contentPart, filePart, keepId, type PartDraft } from './v2-parts.js'

/** A message and its parts in the V1 shape, without their ids. */
interface Draft {
  readonly message: Document
  readonly parts: readonly PartDraft[]
}

interface Kind {
  /** What a message of this kind cannot do without, besides `time.created`. */
  readonly shape: Shape
  readonly read: (document: Document, time: Time) => Draft
}

type Time = Document & { readonly created: number }

const KINDS: Readonly<Record<string, Kind>> = {
  user: { shape: { text: 'string' }, read: user },
  synthetic: { shape: { text: 'string' }, read: told },
  system: { shape: { text: 'string' }, read: told },
  skill: { shape: { text: 'string' }, read: told },
  assistant: { shape: { content: 'array' }, read: assistant },
  shell: { shape: { command: 'string' }, read: shell },
  compaction: { shape: {}, read: compaction },
}

/** `type` is the row's; a document that names its type itself (an event, an export) needs none. */
export function toV2Message(document: unknown, key: MessageKey, type: string | undefined): Reading<MessageReading> {
  if (!isDocument(document)) return { damage: 'the document is no object' }
  const name = type ?? document.type
  if (typeof name !== 'string') return { damage: 'the message has no type' }
  const kind = Object.hasOwn(KINDS, name) ? KINDS[name] : undefined
  if (kind === undefined) return { record: { message: unknownMessage(document, key, name), parts: [] } }
  const { time } = document
  if (!isTime(time)) return unexpected(document, key, name, 'time.created')
  const missing = missingField(document, kind.shape)
  if (missing !== undefined) return unexpected(document, key, name, missing)
  const draft = kind.read(document, time)
  const message = knownMessage({ ...present(draft.message), type: name, id: key.message, sessionID: key.session })
  const { parts, odd } = typedParts(draft.parts, key)
  const odds = [message.odd, odd].filter((text) => text !== undefined)
  return { record: { message: message.record, parts }, ...(odds.length > 0 && { odd: odds.join(', ') }) }
}

function unknownMessage(document: Document, key: MessageKey, type: string): Message {
  const raw = { ...document, type, id: key.message, sessionID: key.session }
  return { role: 'unknown', id: key.message, sessionID: key.session, raw }
}

function unexpected(document: Document, key: MessageKey, type: string, missing: string): Reading<MessageReading> {
  return { record: { message: unknownMessage(document, key, type), parts: [] }, odd: `a message of the kind ${type} without its ${missing}` }
}

function isTime(time: unknown): time is Time {
  return isDocument(time) && typeof time.created === 'number'
}

/** The place of a part in its message is all that names it, for ever: OpenCode 2 appends, and removes whole messages only. */
function typedParts(drafts: readonly PartDraft[], owner: MessageKey): { readonly parts: readonly Part[]; readonly odd: string | undefined } {
  let odd: string | undefined
  const parts = drafts.map(({ part, stored }, at): Part => {
    const key = inlinePartKey(owner, at)
    const reading: Reading<Part> = part === undefined ? { damage: 'a part that is no object' } : toPart(part, key)
    odd ??= 'damage' in reading ? reading.damage : reading.odd
    if ('record' in reading && reading.record.type !== 'unknown') return reading.record
    const ids = { id: key.part, sessionID: key.session, messageID: key.message }
    return { type: 'unknown', ...ids, raw: { ...keepId(isDocument(stored) ? stored : { content: stored }), ...ids } }
  })
  return { parts, odd }
}

/** opencode.md 6.3 `user`: text, files, agents; `skills` has no part kind and stays on the message. */
function user({ text, files, agents, ...rest }: Document): Draft {
  const parts: PartDraft[] = [{ part: { type: 'text', text }, stored: { type: 'text', text } }]
  for (const [name, list, read] of [
    ['files', files, filePart],
    ['agents', agents, agentPart],
  ] as const) {
    if (Array.isArray(list)) parts.push(...list.map((stored) => ({ part: isDocument(stored) ? read(stored) : undefined, stored })))
    else if (list !== undefined) rest[name] = list
  }
  return { message: { ...rest, role: 'user' }, parts }
}

/** opencode.md 6.3 `synthetic`, `system`, `skill`: text that OpenCode wrote into the conversation for the user. */
function told({ text, ...rest }: Document): Draft {
  const part = { type: 'text', text, synthetic: true }
  return { message: { ...rest, role: 'user' }, parts: [{ part, stored: part }] }
}

/** opencode.md 6.3 `assistant`: one step of the model. */
function assistant({ content, model, error, native, providerState, ...rest }: Document): Draft {
  const message = { ...rest, ...modelFields(model), role: 'assistant', error: namedError(error), ...stateFields(native, providerState) }
  return { message, parts: (content as unknown[]).map((stored) => ({ part: contentPart(stored), stored })) }
}

/**
 * opencode.md 6.3 `shell`: a command that the user ran; V1 has it as a tool part. `output` is a page {output, cursor, size, truncated},
 * in the SDK of 1.18 a string, where also `callID` stands for `shellID` and a missing end time means that it runs.
 */
function shell({ command, status, exit, output, shellID, callID, ...rest }: Document, time: Time): Draft {
  const isRunning = status === undefined ? time.completed === undefined : status === 'running'
  const { output: text, ...page } = isDocument(output) ? output : { output }
  const printed = typeof text === 'string' ? text : ''
  const metadata = present({ shellID, status, exit, content: typeof text === 'string' ? undefined : text, ...page })
  const ended = endTime(time, isRunning)
  const state = isRunning
    ? { status: 'running', input: { command }, metadata: { ...metadata, output: printed }, time: { start: time.created } }
    : { status: 'completed', input: { command }, output: printed, metadata, time: { start: time.created, end: ended.completed } }
  const part = present({ type: 'tool', tool: 'shell', callID: callID ?? shellID, state })
  return { message: { ...rest, role: 'assistant', time: ended }, parts: [{ part, stored: part }] }
}

/** opencode.md 6.3 `compaction`; in the SDK of 1.18 without a status, which then is completed. V1 makes two messages of it. */
function compaction({ summary, model, error, native, providerState, ...rest }: Document, time: Time): Draft {
  const { reason } = rest
  const marker = present({ type: 'compaction', auto: typeof reason === 'string' ? reason === 'auto' : undefined })
  const texts = summary === undefined || summary === null ? [] : [{ type: 'text', text: summary }]
  const message = {
    ...rest,
    ...modelFields(model),
    role: 'assistant',
    summary: true,
    error: namedError(error),
    ...stateFields(native, providerState),
  }
  return {
    message: { ...message, time: endTime(time, rest.status === 'running') },
    parts: [marker, ...texts].map((part) => ({ part, stored: part })),
  }
}

/** A shell or a compaction that is over may not say since when; its beginning then stands for its end, or it would never be final. */
function endTime(time: Time, isRunning: boolean): Document {
  return isRunning ? time : { ...time, completed: time.completed ?? time.created }
}

/** `native` is the newer name of `providerState`; a message with both keeps both. */
function stateFields(native: unknown, providerState: unknown): Document {
  return native === undefined || providerState === undefined ? { providerState: native ?? providerState } : { native, providerState }
}

/** {id, providerID, variant} in V1's names. */
function modelFields(model: unknown): Document {
  if (!isDocument(model)) return { model }
  const { id: modelID, providerID, variant, ...rest } = model
  return { modelID, providerID, variant, model: Object.keys(rest).length > 0 ? rest : undefined }
}

/** {type, message, ...} as V1's {name, data}. */
function namedError(error: unknown): unknown {
  if (error === undefined || error === null) return undefined
  if (!isDocument(error)) return { name: 'UnknownError', data: { message: typeof error === 'string' ? error : JSON.stringify(error) } }
  const { type, ...data } = error
  return typeof type === 'string' ? { name: type, data } : { name: 'UnknownError', data: error }
}
