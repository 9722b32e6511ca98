/**
 * Content blocks of agents' messages as drafts of V1 parts: the shapes of Anthropic's API, which several agents write,
 * and the few ways in which they differ (pi and jcode name an image's type and data without a `source`).
 */
import { type Document, isDocument, present } from '../documents.js'
import type { PartDraft } from './message-draft.js'

/** A call of a tool, in the words of its log. */
export interface ToolCall {
  readonly id: unknown
  readonly name: unknown
  readonly input: unknown
  /** Epoch milliseconds. */
  readonly start?: number | undefined
  /** The provider ran the tool itself. */
  readonly executed?: boolean | undefined
}

/** What a tool answered. */
export interface ToolAnswer {
  readonly text: string
  /** Images and other files, as V1 file parts without ids. */
  readonly attachments: readonly Document[]
  readonly isError: boolean
  /** Epoch milliseconds. */
  readonly end?: number | undefined
  readonly metadata?: Document | undefined
}

/** A name for the tool of an answer whose call is not in the log. */
const UNKNOWN_TOOL = 'unknown'

/** A message's content, a text or a list of blocks, as parts. Calls come without an answer; results are kept raw. */
export function contentDrafts(content: unknown, synthetic = false): readonly PartDraft[] {
  if (content === undefined || content === null) return []
  return (Array.isArray(content) ? content : [content]).map((block) => blockDraft(block, synthetic))
}

/** One block. A call is a tool part without an answer; a result, and what is not known, stays as it is. */
export function blockDraft(block: unknown, synthetic = false): PartDraft {
  if (typeof block === 'string') return textDraft(block, synthetic)
  if (!isDocument(block)) return { part: {}, stored: block }
  const call = callIn(block)
  if (call !== undefined) return toolDraft(call, undefined, block)
  return { part: partOf(block, synthetic) ?? block, stored: block }
}

export function textDraft(text: string, synthetic = false, stored: unknown = { type: 'text', text }): PartDraft {
  return { part: synthetic ? { type: 'text', text, synthetic } : { type: 'text', text }, stored }
}

export function reasoningDraft(text: string, stored: unknown, metadata?: Document): PartDraft {
  return { part: present({ type: 'reasoning', text, metadata }), stored }
}

function partOf(block: Document, synthetic: boolean): Document | undefined {
  switch (block.type) {
    case 'text':
      if (typeof block.text === 'string' && !synthetic && block.citations === undefined) return { type: 'text', text: block.text }
      return present({ type: 'text', text: block.text, synthetic: synthetic || undefined, metadata: citedIn(block) })
    case 'thinking':
      return { type: 'reasoning', text: block.thinking ?? block.text }
    case 'redacted_thinking':
      return { type: 'reasoning', text: '', metadata: { redacted: true } }
    case 'image':
    case 'document':
      return fileOf(block)
    default:
      return undefined
  }
}

function citedIn({ citations }: Document): Document | undefined {
  return Array.isArray(citations) && citations.length > 0 ? { citations } : undefined
}

/** An image or a document, as a V1 file part; undefined when its content is not in the block. */
export function fileOf(block: Document): Document | undefined {
  const source = isDocument(block.source) ? block.source : block
  const mime = textAmong(source.media_type, source.mimeType, source.mime_type) ?? (block.type === 'image' ? 'image/png' : 'application/octet-stream')
  const url = urlOf(source, mime)
  if (url === undefined) return undefined
  return present({ type: 'file', mime: mimeOf(url) ?? mime, url, filename: textAmong(block.filename, block.title, block.name) })
}

function urlOf(source: Document, mime: string): string | undefined {
  const { url, data } = source
  if (typeof url === 'string') return url
  if (typeof data !== 'string') return undefined
  if (data.startsWith('data:')) return data
  return source.type === 'text' ? `data:${mime},${encodeURIComponent(data.toWellFormed?.() ?? data)}` : `data:${mime};base64,${data}`
}

/** The type that a `data:` URL names. */
function mimeOf(url: string): string | undefined {
  return /^data:([^;,]+)/.exec(url.slice(0, 128))?.[1]
}

function textAmong(...values: readonly unknown[]): string | undefined {
  return values.find((value): value is string => typeof value === 'string' && value !== '')
}

/** The call that a block is: `tool_use`, or one that the provider runs itself (`server_tool_use`, `mcp_tool_use`). `start` in epoch milliseconds. */
export function callIn(block: unknown, start?: number): ToolCall | undefined {
  if (!isDocument(block) || typeof block.type !== 'string' || !block.type.endsWith('tool_use')) return undefined
  return { id: block.id, name: block.name, input: block.input, start, executed: block.type === 'tool_use' ? undefined : true }
}

/** The id of the call that a block answers: `tool_result`, or that of a tool of the provider (`web_search_tool_result`). */
export function answeredBy(block: unknown): string | undefined {
  if (!isDocument(block) || typeof block.type !== 'string' || !block.type.endsWith('tool_result')) return undefined
  return typeof block.tool_use_id === 'string' ? block.tool_use_id : undefined
}

/** What a block with `content` and `is_error` answers. */
export function answerIn(block: Document, end?: number, metadata?: Document): ToolAnswer {
  return toolAnswer(block.content, { isError: block.is_error === true, end, metadata })
}

/**
 * A tool's answer: a text, or a list of texts, text blocks and images. The texts are joined by line breaks;
 * what is none of these is kept as the metadata's `content`.
 */
export function toolAnswer(
  content: unknown,
  { isError, end, metadata }: { readonly isError: boolean; readonly end?: number | undefined; readonly metadata?: Document | undefined },
): ToolAnswer {
  if (typeof content === 'string') return { text: content, attachments: NONE, isError, end, metadata }
  const texts: string[] = []
  const attachments: Document[] = []
  const others: unknown[] = []
  for (const item of Array.isArray(content) ? content : content === undefined || content === null ? [] : [content]) {
    const file = isDocument(item) && (item.type === 'image' || item.type === 'document') ? fileOf(item) : undefined
    if (typeof item === 'string') texts.push(item)
    else if (file !== undefined) attachments.push(file)
    else if (isDocument(item) && typeof item.text === 'string') texts.push(item.text)
    else others.push(item)
  }
  const kept = others.length > 0 ? { ...metadata, content: others } : metadata
  return { text: texts.join('\n'), attachments, isError, end, metadata: kept }
}

const NONE: readonly Document[] = []

/** A tool part: running without an answer, else completed or in error. A call without a name of its own gets one. */
export function toolDraft(call: ToolCall, answer: ToolAnswer | undefined, stored: unknown): PartDraft {
  const { id, name, input, executed } = call
  const callID = typeof id === 'string' ? id : undefined
  const tool = typeof name === 'string' && name !== '' ? name : UNKNOWN_TOOL
  const state = answer === undefined ? runningState(call) : answeredState(call, answer)
  if (input !== undefined) state.input = input
  const part: Document = callID === undefined ? { type: 'tool', tool } : { type: 'tool', callID, tool }
  if (executed !== undefined) part.executed = executed
  part.state = state
  return { part, stored }
}

function runningState({ start }: ToolCall): Document {
  return start === undefined ? { status: 'running' } : { status: 'running', time: { start } }
}

/** Of every tool there is one: hence built field by field. */
function answeredState({ start }: ToolCall, { text, attachments, isError, end, metadata }: ToolAnswer): Document {
  const begun = start ?? end
  const state: Document = isError ? { status: 'error', error: text } : { status: 'completed', output: text }
  if (metadata !== undefined) state.metadata = metadata
  if (begun !== undefined) state.time = end === undefined ? { start: begun } : { start: begun, end }
  if (attachments.length > 0) state.attachments = attachments
  return state
}
