/**
 * Messages of jcode: one object each, in a snapshot or in a line of a journal.
 * Results of tools stand in the message that calls them, or in one of their own, which then is no message besides.
 */
import { type Document, isDocument, present, type Reading } from '../documents.js'
import type { RecordFormat } from '../formats.js'
import type { MessageKey } from '../keys.js'
import { toPart } from '../parts.js'
import { type MessageReading, toSession } from '../records.js'
import { answeredBy, answerIn, blockDraft, callIn, reasoningDraft, type ToolAnswer, textDraft, toolDraft } from './blocks.js'
import { type MessageDraft, type MessageLine, type PartDraft, rawReading, readingOf, timeIn } from './message-draft.js'

export const jcodeFormat: RecordFormat = {
  session: toSession,
  message: (document, key) => assemble([{ document, use: 'own' }], key),
  part: toPart,
  assemble,
}

function assemble(lines: readonly MessageLine[], key: MessageKey): Reading<MessageReading> {
  const own: Document[] = []
  const answers: Document[] = []
  for (const { document, use } of lines) if (isDocument(document)) (use === 'own' ? own : answers).push(document)
  const newest = own.at(-1)
  if (own[0] === undefined || newest === undefined) return { damage: 'the document is no object' }
  const created = jcodeTime(own[0]) ?? 0
  const blocks = blocksOf(newest)
  switch (newest.role) {
    case 'assistant':
      return readingOf(assistant(newest, blocks, answers, created), key)
    case 'user':
    case 'system':
    case 'tool':
      return readingOf(asked(newest, blocks, answers, created), key)
    default:
      return rawReading(newest, key)
  }
}

function blocksOf({ content }: Document): readonly unknown[] {
  return Array.isArray(content) ? content : content === undefined || content === null ? [] : [content]
}

/** Epoch milliseconds: the message's own time, or the one in its id (`message_<ms>_<number>`). */
export function jcodeTime({ timestamp, id }: Document): number | undefined {
  return timeIn(timestamp) ?? (typeof id === 'string' ? jcodeIdTime(id) : undefined)
}

export function jcodeIdTime(id: string): number | undefined {
  const [, digits] = /_(\d{13})_/.exec(id) ?? []
  return digits === undefined ? undefined : Number(digits)
}

function assistant(document: Document, blocks: readonly unknown[], answers: readonly Document[], created: number): MessageDraft {
  const completed = Math.max(created, jcodeTime(document) ?? created)
  const message = { role: 'assistant' as const, time: { created, completed }, tokens: tokensIn(document.token_usage) }
  return { message, parts: draftsOf(document, blocks, answers, created, false) }
}

/** What jcode itself says in the user's name is told from what somebody typed by its display role or its beginning. */
function asked(document: Document, blocks: readonly unknown[], answers: readonly Document[], created: number): MessageDraft {
  const { role, display_role } = document
  const shown = typeof display_role === 'string' ? display_role : role === 'system' ? 'system' : undefined
  const isReminder = blocks.some((block) => textOf(block)?.trimStart().startsWith('<system-reminder>'))
  const type = shown ?? (isReminder ? 'synthetic' : undefined)
  const parts = draftsOf(document, blocks, answers, created, type !== undefined)
  return { message: { role: 'user', time: { created }, type }, parts }
}

function textOf(block: unknown): string | undefined {
  const text = isDocument(block) ? block.text : block
  return typeof text === 'string' ? text : undefined
}

/**
 * The blocks as parts. A result belongs to its call: in the same message, or in another one, which shows it then. It stands for itself
 * where it has no call: in a message of results alone, or when the message answers itself for want of a call.
 */
function draftsOf(document: Document, blocks: readonly unknown[], answers: readonly Document[], created: number, synthetic: boolean): PartDraft[] {
  const results = resultsIn([document, ...answers])
  const isAlone =
    results.size > 0 &&
    blocks.every((block) => callIn(block)?.id === undefined) &&
    (answers.length > 0 || blocks.every((block) => answeredBy(block) !== undefined))
  const drafts: PartDraft[] = []
  for (const block of blocks) {
    const result = answeredBy(block)
    const call = result === undefined ? callIn(block) : undefined
    if (call !== undefined) {
      const answer = typeof call.id === 'string' ? results.get(call.id) : undefined
      drafts.push(toolDraft({ ...call, start: startOf(answer, created) }, answer, block))
    } else if (result === undefined) drafts.push(draftOf(block, synthetic))
    else if (isAlone) drafts.push(toolDraft({ id: result, name: undefined, input: undefined }, results.get(result), block))
  }
  return drafts
}

/** By the calls that they answer; of two answers the last counts. */
function resultsIn(documents: readonly Document[]): ReadonlyMap<string, ToolAnswer> {
  const results = new Map<string, ToolAnswer>()
  for (const document of documents) {
    for (const block of blocksOf(document)) {
      const id = answeredBy(block)
      if (id !== undefined) results.set(id, answerOf(block as Document, document))
    }
  }
  return results
}

function answerOf(block: Document, document: Document): ToolAnswer {
  const took = document.tool_duration_ms
  return answerIn(block, jcodeTime(document), typeof took === 'number' ? { tool_duration_ms: took } : undefined)
}

/** A result tells how long the tool took. */
function startOf(answer: ToolAnswer | undefined, created: number): number {
  const took = answer?.metadata?.tool_duration_ms
  return answer?.end !== undefined && typeof took === 'number' ? Math.max(created, answer.end - took) : created
}

function draftOf(block: unknown, synthetic: boolean): PartDraft {
  if (!isDocument(block)) return blockDraft(block, synthetic)
  const { type, text, summary } = block
  switch (type) {
    case 'text':
      return typeof text === 'string' ? textDraft(text, synthetic, block) : blockDraft(block, synthetic)
    case 'reasoning':
    case 'reasoning_trace':
      return typeof text === 'string' ? reasoningDraft(text, block) : { part: block, stored: block }
    case 'anthropic_thinking':
      return { part: { type: 'reasoning', text: block.thinking }, stored: block }
    // The names that Rust makes of OpenAIReasoning and OpenAICompaction, and those that people make of them.
    case 'open_a_i_reasoning':
    case 'open_ai_reasoning':
    case 'openai_reasoning':
      return thoughtOf(summary, block)
    case 'open_a_i_compaction':
    case 'open_ai_compaction':
    case 'openai_compaction':
      return { part: { type: 'compaction' }, stored: block }
    default:
      return blockDraft(block, synthetic)
  }
}

function thoughtOf(summary: unknown, block: Document): PartDraft {
  const texts = (Array.isArray(summary) ? summary : []).filter((one) => typeof one === 'string')
  const isHidden = texts.length === 0 && typeof block.encrypted_content === 'string'
  return reasoningDraft(texts.join('\n\n'), block, isHidden ? { encrypted: true } : undefined)
}

/** Providers differ in whether what was cached counts as input; only `prompt_tokens` tells, in newer versions. */
function tokensIn(usage: unknown): Document | undefined {
  if (!isDocument(usage)) return undefined
  const count = (value: unknown): number => (typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : 0)
  const cache = { read: count(usage.cache_read_input_tokens), write: count(usage.cache_creation_input_tokens) }
  const { prompt_tokens } = usage
  const input = typeof prompt_tokens === 'number' ? Math.max(0, prompt_tokens - cache.read - cache.write) : count(usage.input_tokens)
  return present({ input, output: count(usage.output_tokens), reasoning: 0, cache })
}
