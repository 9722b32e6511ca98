/** Items of Codex's logs as drafts of parts: texts, images, reasoning, calls of tools with their outputs. */
import { type Document, isDocument, present } from '../documents.js'
import { reasoningDraft, type ToolAnswer, textDraft, toolAnswer, toolDraft } from './blocks.js'
import { isToldByAgent } from './codex-text.js'
import { jsonOf, type PartDraft } from './message-draft.js'

/** What a message or a thought says; nothing for any other item. */
export function itemDrafts(item: Document, synthetic: boolean): readonly PartDraft[] {
  if (item.type === 'reasoning') return [thought(item)]
  if (item.type !== 'message' && item.type !== 'agent_message') return []
  const { content, role, phase } = item
  if (content === undefined || content === null) return []
  const blocks: readonly unknown[] = Array.isArray(content) ? content : [content]
  return blocks.map((block) => blockDraft(block, role === 'user', synthetic, phase))
}

function blockDraft(block: unknown, isUser: boolean, synthetic: boolean, phase: unknown): PartDraft {
  if (typeof block === 'string') return textDraft(block, synthetic || (isUser && isToldByAgent(block)))
  if (!isDocument(block)) return { part: {}, stored: block }
  const url = urlIn(block.image_url)
  if (block.type === 'input_image' && url !== undefined) return { part: filePart(url), stored: block }
  const text = block.text ?? block.refusal
  if (typeof text !== 'string') return { part: block, stored: block }
  const draft = textDraft(text, synthetic || (isUser && isToldByAgent(text)), block)
  return typeof phase === 'string' ? { ...draft, part: { ...draft.part, metadata: { phase } } } : draft
}

function urlIn(image: unknown): string | undefined {
  const url = isDocument(image) ? image.url : image
  return typeof url === 'string' ? url : undefined
}

function filePart(url: string, mime = /^data:([^;,]+)/.exec(url.slice(0, 128))?.[1] ?? 'image/png'): Document {
  return { type: 'file', mime, url }
}

/** The summary, and the thought itself where it is not encrypted. */
function thought(item: Document): PartDraft {
  const texts = [item.summary, item.content].flatMap((list) => (Array.isArray(list) ? list : []))
  const text = texts.map((block) => (isDocument(block) ? block.text : block)).filter((one) => typeof one === 'string')
  const isHidden = typeof item.encrypted_content === 'string' && text.length === 0
  return reasoningDraft(text.join('\n\n'), item, isHidden ? { encrypted: true } : undefined)
}

/** What an event says that is no copy of an item. */
export function eventDrafts(event: Document): readonly PartDraft[] {
  const { message, text, images, local_images } = event
  if (event.type === 'agent_reasoning') return typeof text === 'string' ? [reasoningDraft(text, event)] : []
  if (event.type === 'item_completed') return doneDrafts(event)
  if (event.type === 'exited_review_mode') return reviewDrafts(event)
  if (event.type !== 'user_message' && event.type !== 'agent_message') return []
  const isTold = event.type === 'user_message' && typeof message === 'string' && isToldByAgent(message)
  const texts = typeof message === 'string' ? [textDraft(message, isTold, event)] : []
  const urls = [...textsIn(images), ...textsIn(local_images).map((path) => `file://${encodeURI(path.toWellFormed?.() ?? path)}`)]
  return [...texts, ...urls.map((url) => ({ part: filePart(url), stored: event }))]
}

/** A plan, or what the agent said. */
function doneDrafts({ item }: Document): readonly PartDraft[] {
  if (!isDocument(item)) return []
  const blocks = Array.isArray(item.content) ? item.content : [item]
  return blocks.flatMap((block) => (isDocument(block) && typeof block.text === 'string' ? [textDraft(block.text, false, item)] : []))
}

/** What a review found: the whole, then each finding. */
function reviewDrafts({ review_output: found }: Document): readonly PartDraft[] {
  if (!isDocument(found)) return []
  const findings = Array.isArray(found.findings) ? found.findings.filter(isDocument) : []
  const texts = [found.overall_explanation, ...findings.map(({ title, body }) => textsIn([title, body]).join('\n\n'))]
  return textsIn(texts).flatMap((text) => (text === '' ? [] : [textDraft(text, false, found)]))
}

function textsIn(list: unknown): readonly string[] {
  return Array.isArray(list) ? list.filter((item) => typeof item === 'string') : []
}

/** The tool part that a call is, or an output whose call is not in the log; undefined for any other item. */
export function toolOf(item: Document, time: number | undefined, answer: ToolAnswer | undefined): PartDraft | undefined {
  const { type } = item
  if (typeof type !== 'string') return undefined
  if (type.endsWith('_output')) return toolDraft({ id: item.call_id, name: type.slice(0, -7), input: undefined }, answerOf(item, time), item)
  if (!type.endsWith('_call')) return undefined
  const called = { id: item.call_id ?? item.id, name: nameOf(item, type), input: inputOf(item), start: time }
  return toolDraft(called, answer ?? ownAnswer(item, time), item)
}

function nameOf({ name, namespace }: Document, type: string): string {
  if (typeof name !== 'string' || name === '') return type.slice(0, -'_call'.length)
  return typeof namespace === 'string' && namespace !== '' ? `${namespace}.${name}` : name
}

/** Arguments are JSON in a text; what is no JSON stays the text it is. */
function inputOf({ arguments: given, input, action, revised_prompt }: Document): unknown {
  if (typeof given === 'string') return parsedOr(given)
  return given ?? input ?? action ?? (revised_prompt === undefined ? undefined : { prompt: revised_prompt })
}

function parsedOr(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/** Calls that the provider answers itself (a search, an image) have no output of their own. */
function ownAnswer(item: Document, end: number | undefined): ToolAnswer | undefined {
  const { type, status, result } = item
  if (type !== 'web_search_call' && type !== 'image_generation_call') return undefined
  if (status === 'in_progress' || status === 'searching' || status === 'generating') return undefined
  const attachments = typeof result === 'string' && result !== '' ? [filePart(`data:image/png;base64,${result}`, 'image/png')] : []
  return { text: '', attachments, isError: status === 'failed', end }
}

/** What an output says. Older ones are JSON in a text: {output, metadata}. */
export function answerOf(item: Document, end: number | undefined): ToolAnswer {
  const { output, tools } = item
  if (output === undefined) return toolAnswer(tools === undefined ? [] : (jsonOf(tools) ?? [tools]), { isError: item.status === 'failed', end })
  const parsed = typeof output === 'string' && output.startsWith('{"output":') ? parsedOr(output) : output
  if (!isDocument(parsed)) return toolAnswer(listed(output), { isError: false, end })
  const content = parsed.output ?? parsed.content
  if (content === undefined) return toolAnswer(typeof output === 'string' ? output : [output], { isError: parsed.success === false, end })
  const metadata = isDocument(parsed.metadata) ? parsed.metadata : undefined
  return toolAnswer(listed(content), { isError: parsed.success === false, end, metadata: metadata && present(metadata) })
}

/** Images stand in outputs as they do in messages. */
function listed(content: unknown): unknown {
  if (!Array.isArray(content)) return content
  return content.map((block) => {
    const url = isDocument(block) && block.type === 'input_image' ? urlIn(block.image_url) : undefined
    return url === undefined ? block : { type: 'image', url, media_type: filePart(url).mime }
  })
}
