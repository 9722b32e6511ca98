/** What stands inside a message of OpenCode 2, as V1 parts: content items, tool states, attached files and agents (opencode.md 6.3). */
import { type Document, isDocument, present } from './documents.js'

/** A part in the V1 shape without its ids, undefined when it is none, and what it was made from. */
export interface PartDraft {
  readonly part: Document | undefined
  readonly stored: unknown
}

/** What the provider keeps with an item, by its names over time, the newest first. A tool's `state` is something else. */
const BLOCK_STATE = ['native', 'state', 'providerState', 'providerMetadata']
const TOOL_STATE = ['native', 'providerState', 'providerMetadata']

/** An item of an assistant message's `content`; one of an unknown kind as it is. Undefined when it is no object. */
export function contentPart(item: unknown): Document | undefined {
  if (!isDocument(item)) return undefined
  switch (item.type) {
    case 'text':
      return withMetadata(keepId(item), BLOCK_STATE)
    case 'reasoning':
      return reasoningPart(item)
    case 'tool':
      return toolPart(item)
    case 'file':
      return filePart(item)
    default:
      return { ...item }
  }
}

function reasoningPart({ time, ...item }: Document): Document {
  const part = withMetadata(keepId(item), BLOCK_STATE)
  if (!isDocument(time)) return part
  const { created, completed, ...rest } = time
  return { ...part, time: present({ ...rest, start: created, end: completed }) }
}

/** Before 2.0 text and reasoning had ids of their own; the id of a part is its place. */
export function keepId({ id, ...item }: Document): Document {
  return present({ ...item, contentID: id })
}

/** The provider's state, under the first of `names`, is V1's `metadata`. */
function withMetadata(item: Document, names: readonly string[]): Document {
  const name = names.find((candidate) => item[candidate] !== undefined)
  if (name === undefined || item.metadata !== undefined) return item
  const { [name]: metadata, ...rest } = item
  return { ...rest, metadata }
}

function toolPart({ id, name, state, provider, ...item }: Document): Document {
  const older = providerFields(provider)
  const isTaken = Object.keys(older).some((field) => item[field] !== undefined)
  const part = withMetadata(isTaken ? { ...item, provider } : { ...item, ...older }, TOOL_STATE)
  const time = isDocument(item.time) ? item.time : {}
  return present({ ...part, type: 'tool', tool: name, callID: id, state: isDocument(state) ? toolState(state, time) : state })
}

/** The older `provider {executed, metadata, resultMetadata}` in the newer names. */
function providerFields(provider: unknown): Document {
  if (!isDocument(provider)) return present({ provider })
  const { executed, metadata, resultMetadata, ...rest } = provider
  return present({ executed, native: metadata, providerResultState: resultMetadata, provider: Object.keys(rest).length > 0 ? rest : undefined })
}

/** streaming (older: pending) -> running -> completed | error. A state of another name stays as it is: its part is then unknown. */
function toolState(state: Document, time: Document): Document {
  const { input, ...rest } = state
  switch (state.status) {
    case 'streaming':
    case 'pending':
      return { ...rest, status: 'pending', ...(typeof input === 'string' ? { input: {}, raw: input } : { input: input ?? {} }) }
    case 'running':
      return withOutput(state, { start: time.ran ?? time.created })
    case 'completed':
      return completedState(state, spanOf(time))
    case 'error':
      return errorState(state, spanOf(time))
    default:
      return state
  }
}

/** V1's {start, end, compacted}. */
function spanOf({ created, ran, completed, pruned }: Document): Document {
  return { start: ran ?? created, end: completed, compacted: pruned }
}

function completedState(state: Document, span: Document): Document {
  const { text, files, others } = contentOf(state.content)
  const output = text ?? (typeof state.result === 'string' ? state.result : '')
  return present({ ...commonState(state, span, files), output, content: filled(others) })
}

function errorState({ error, ...state }: Document, span: Document): Document {
  const message = isDocument(error) && typeof error.message === 'string' ? error.message : error
  const text = typeof message === 'string' || message === undefined ? message : JSON.stringify(message)
  return present({ ...withOutput(state, span), error: text, cause: isDocument(error) ? error : undefined })
}

/** What a tool printed before its end is V1's `metadata.output`; where that is taken, `content` stays as it is. */
function withOutput(state: Document, span: Document): Document {
  const { text, files, others } = contentOf(state.content)
  const fields = commonState(state, span, files)
  const { metadata = {} } = fields
  if (text === undefined) return present({ ...fields, content: filled(others) })
  if (!isDocument(metadata) || metadata.output !== undefined) return present({ ...fields, content: state.content })
  return present({ ...fields, metadata: { ...metadata, output: text }, content: filled(others) })
}

/** `structured` is the older name of `metadata`, `attachments` the older place of files; a state with both keeps both. */
function commonState({ structured, attachments, ...state }: Document, span: Document, files: readonly Document[]): Document {
  const both = state.metadata !== undefined && structured !== undefined
  return {
    ...state,
    metadata: state.metadata ?? structured,
    structured: both ? structured : undefined,
    time: typeof span.start === 'number' ? present(span) : undefined,
    attachments: filled([...files, ...attachmentsOf(attachments)]),
  }
}

interface ToolContent {
  /** Texts, each on a line of its own; undefined when there is none. */
  readonly text: string | undefined
  /** As V1 file parts, without ids. */
  readonly files: readonly Document[]
  /** Of kinds that are not known. */
  readonly others: readonly unknown[]
}

function contentOf(content: unknown): ToolContent {
  const files: Document[] = []
  const others: unknown[] = []
  let text: string | undefined
  for (const item of listOf(content)) {
    if (isDocument(item) && item.type === 'text' && typeof item.text === 'string') {
      text = text === undefined ? item.text : text + (text === '' || text.endsWith('\n') ? '' : '\n') + item.text
    } else if (isDocument(item) && item.type === 'file') files.push(filePart(item))
    else others.push(item)
  }
  return { text, files, others }
}

function attachmentsOf(attachments: unknown): readonly Document[] {
  return listOf(attachments).map((file) => (isDocument(file) ? filePart(file) : { type: 'unknown', content: file }))
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : value === undefined ? [] : [value]
}

function filled<T>(list: readonly T[]): readonly T[] | undefined {
  return list.length === 0 ? undefined : list
}

/**
 * An attached file: {data (base64), mime, source {type, uri?}, name?, description?, mention? {text, start, end}};
 * before 2.0, and in what tools give: {uri, mime, name?, source? {text, start, end}}.
 */
export function filePart(file: Document): Document {
  if (!isUsualFile(file)) return { ...file, type: 'file' }
  const { data, uri, name, mention, source, ...rest } = file
  const mentioned = mentionOf(mention) ?? mentionOf(source)
  const origin = isDocument(source) && mentionOf(source) === undefined ? source : {}
  const url = data === undefined ? (uri ?? origin.uri) : `data:${String(rest.mime)};base64,${String(data)}`
  const kept = present({ ...origin, uri: data === undefined ? origin.uri : (uri ?? origin.uri), text: mentioned ?? origin.text })
  return present({ ...rest, type: 'file', url, filename: name, source: Object.keys(kept).length > 0 ? kept : undefined })
}

/** False for a file whose fields would not all find a place: it then stays as it is. */
function isUsualFile({ data, uri, mention, source }: Document): boolean {
  const isKnown = (data === undefined || typeof data === 'string') && (source === undefined || isDocument(source))
  if (!isKnown || (mention !== undefined && mentionOf(mention) === undefined)) return false
  if (!isDocument(source)) return true
  return (mention === undefined || source.text === undefined) && (data === undefined || uri === undefined || source.uri === undefined)
}

export function agentPart(agent: Document): Document {
  const { mention, source, ...rest } = agent
  const named = mentionOf(mention)
  if (mention !== undefined && (named === undefined || source !== undefined)) return { ...agent, type: 'agent' }
  return present({ ...rest, type: 'agent', source: named ?? mentionOf(source) ?? source })
}

/** Where in the text something is named, in V1's words. */
function mentionOf(mention: unknown): Document | undefined {
  if (!isDocument(mention) || typeof mention.text !== 'string') return undefined
  const { text, ...place } = mention
  return { ...place, value: text }
}
