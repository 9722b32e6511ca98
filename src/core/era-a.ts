/**
 * Era A (0.x) documents in V1's shape. Up to 0.1 a message holds its parts, and its own fields stand in `metadata`:
 *
 *   { id, role, parts: [...], metadata: { time, error?, sessionID, tool: { <callID>: { title, time, ... } }, assistant?, user? } }
 *
 * Later 0.x moved the fields out, then the parts. Where that conversion failed, and in copies that 1.x made of the result,
 * documents of every stage stand among the others: parts still inside, or split off a message that still has its `metadata`.
 * So the document itself tells its shape. What V1 has no field for stays: in `metadata` of the message, or as an unknown part.
 */
import { type Document, isDocument, present } from './documents.js'

/** A message document, and the part documents that were in it, in their order. */
export interface UnfoldedMessage {
  readonly message: Document
  readonly parts: readonly unknown[]
}

/** True for a message that holds its parts, or holds its fields in `metadata`. */
export function isFolded(document: Document): boolean {
  return Array.isArray(document.parts) || (document.time === undefined && isDocument(document.metadata))
}

/** A folded message as OpenCode's own conversion makes it, but for what that leaves out: reasoning, sources, answers that are files. */
export function unfoldMessage(document: Document): UnfoldedMessage {
  const { parts: inside, ...outside } = document
  const given: readonly unknown[] = Array.isArray(inside) ? inside : []
  if (document.time !== undefined || !isDocument(document.metadata)) return { message: outside, parts: given.map((part) => splitPart(part)) }
  const { metadata, ...fields } = outside
  const { time, error, sessionID: _inKey, tool, assistant, ...rest } = metadata as Document
  const tools = isDocument(tool) ? { ...tool } : {}
  const parts = given.map((part) => splitPart(part, tools))
  const left = {
    ...rest,
    ...(Object.keys(tools).length > 0 && { tool: tools }),
    ...(tool !== undefined && !isDocument(tool) && { tool }),
    ...(assistant !== undefined && !isDocument(assistant) && { assistant }),
  }
  const message = {
    ...(isDocument(assistant) && assistant),
    ...fields,
    ...(time !== undefined && { time }),
    ...(error !== undefined && { error }),
    ...(Object.keys(left).length > 0 && { metadata: left }),
  }
  return { message, parts }
}

/** Between the two moves a tool part had its call's id for its own. */
function splitPart(part: unknown, tools?: Document): unknown {
  if (!isDocument(part)) return part
  if (part.type === 'tool' && part.callID === undefined && part.id !== undefined) return { ...part, callID: part.id }
  return modernPart(part, tools)
}

/** A part in V1's shape: a new document when it was in another. What `tools` says of its call goes into it and is taken out of there. */
export function modernPart(document: Document, tools: Document = {}): Document {
  switch (document.type) {
    case 'tool-invocation':
      return isDocument(document.toolInvocation) ? toolPart(document, document.toolInvocation, tools) : document
    case 'file':
      return document.mime === undefined && 'mediaType' in document ? renamed(document, 'mediaType', 'mime') : document
    case 'reasoning':
      return document.metadata === undefined && 'providerMetadata' in document ? renamed(document, 'providerMetadata', 'metadata') : document
    default:
      return document
  }
}

/** A call in a state that is not known stays as it is, and so an unknown part; likewise one whose fields V1 has no place for. */
function toolPart(document: Document, invocation: Document, tools: Document): Document {
  const { state: name, toolCallId, toolName, args, result, ...more } = invocation
  const isTaken = ['callID', 'tool', 'state'].some((field) => document[field] !== undefined)
  if (isTaken || (toolCallId !== undefined && typeof toolCallId !== 'string') || (result !== undefined && name !== 'result')) return document
  const callID = toolCallId ?? ''
  const told = Object.hasOwn(tools, callID) && isDocument(tools[callID]) ? tools[callID] : {}
  const state = toolState(name, args, result, told)
  if (state === undefined || typeof toolName !== 'string') return document
  if (name !== 'partial-call') delete tools[callID]
  const { type: _, toolInvocation: __, ...rest } = document
  if (Object.keys(more).length === 0) return { ...rest, type: 'tool', callID, tool: toolName, state }
  const beside = isDocument(rest.metadata) ? rest.metadata : present({ metadata: rest.metadata })
  return { ...rest, type: 'tool', callID, tool: toolName, state, metadata: { ...beside, ...more } }
}

function toolState(name: unknown, args: unknown, result: unknown, told: Document): Document | undefined {
  const { title: named, time, ...rest } = told
  const input = args === undefined ? {} : { input: args }
  const titled = typeof named === 'string' ? { title: named } : {}
  const metadata = typeof named === 'string' || named === undefined ? rest : { ...rest, title: named }
  if (name === 'partial-call') return { status: 'pending', ...input }
  if (name === 'call') {
    const start = isDocument(time) ? time.start : undefined // 0 while the tool runs: not known
    const timed = typeof start === 'number' && start > 0 ? { time: { start } } : {}
    return { status: 'running', ...input, ...titled, metadata, ...timed }
  }
  if (name !== 'result' || typeof result !== 'string') return undefined
  return { status: 'completed', ...input, output: result, ...titled, metadata, ...(isDocument(time) && { time }) }
}

function renamed(document: Document, from: string, to: string): Document {
  const { [from]: value, ...rest } = document
  return { ...rest, [to]: value }
}
