/** Messages of pi's logs in the V1 shape: an entry each, with the results of the tools that it calls. */
import { type Document, isDocument, present, type Reading } from '../documents.js'
import type { RecordFormat } from '../formats.js'
import type { MessageKey } from '../keys.js'
import { toPart } from '../parts.js'
import { type MessageReading, toSession } from '../records.js'
import { blockDraft, contentDrafts, type ToolAnswer, textDraft, toolAnswer, toolDraft } from './blocks.js'
import { type MessageDraft, type MessageLine, type PartDraft, rawReading, readingOf, timeIn } from './message-draft.js'

export const piFormat: RecordFormat = {
  session: toSession,
  message: (document, key) => assemblePi([{ document, use: 'own' }], key),
  part: toPart,
  assemble: assemblePi,
}

type Time = { readonly created: number }

function assemblePi(lines: readonly MessageLine[], key: MessageKey): Reading<MessageReading> {
  const entry = lines.find(({ use }) => use === 'own')?.document
  if (!isDocument(entry)) return { damage: 'the document is no object' }
  const answers = lines.filter(({ use }) => use === 'answer').map(({ document }) => document)
  const draft = draftOf(entry, answers)
  return draft === undefined ? rawReading(entry, key) : readingOf(draft, key)
}

/** Undefined for what is not known. Some writers spell the types of entries as the roles of messages. */
function draftOf(entry: Document, answers: readonly unknown[]): MessageDraft | undefined {
  const { message } = entry
  const created = timeIn(entry.timestamp) ?? (isDocument(message) ? timeIn(message.timestamp) : undefined) ?? 0
  const time = { created }
  switch (entry.type) {
    case 'message':
      return isDocument(message) ? messageDraft(message, time, answers) : undefined
    case 'compaction':
    case 'compactionSummary':
      return compaction(entry, time)
    case 'branch_summary':
    case 'branchSummary':
      return branchSummary(entry, time)
    case 'custom_message':
      return custom(entry, time)
    default:
      return undefined
  }
}

function messageDraft(message: Document, time: Time, answers: readonly unknown[]): MessageDraft | undefined {
  switch (message.role) {
    case 'user':
      return { message: { role: 'user', time }, parts: contentDrafts(message.content) }
    case 'assistant':
      return assistant(message, time, answers)
    case 'toolResult':
      return strayResult(message, time)
    case 'bashExecution':
      return bash(message, time)
    case 'custom':
    case 'hookMessage':
      return custom(message, time)
    case 'branchSummary':
      return branchSummary(message, time)
    case 'compactionSummary':
      return compaction(message, time)
    default:
      return undefined
  }
}

function assistant(message: Document, time: Time, lines: readonly unknown[]): MessageDraft {
  const answers = answersIn(lines)
  const { model, provider, stopReason, errorMessage, api, responseId, responseModel } = message
  const { created: start } = time
  const blocks = Array.isArray(message.content) ? message.content : typeof message.content === 'string' ? [message.content] : []
  const parts = blocks.map((block): PartDraft => {
    if (!isDocument(block) || block.type !== 'toolCall') return blockDraft(block)
    const { id, name, arguments: input } = block
    return toolDraft({ id, name, input, start }, typeof id === 'string' ? answers.get(id) : undefined, block)
  })
  const metadata = present({ api, responseId, responseModel })
  const draft = {
    role: 'assistant' as const,
    time: over(time),
    modelID: textOf(model),
    providerID: textOf(provider),
    finish: textOf(stopReason),
    tokens: tokensOf(message.usage),
    cost: costOf(message.usage),
    error:
      typeof errorMessage === 'string' ? { name: stopReason === 'aborted' ? 'Aborted' : 'APIError', data: { message: errorMessage } } : undefined,
    metadata: filled(metadata),
  }
  return { message: draft, parts }
}

/** Of a message that is written when it is over. Nobody knows when that was where the entry has no time. */
function over({ created }: Time): Time & { readonly completed?: number } {
  return created > 0 ? { created, completed: created } : { created }
}

function answersIn(lines: readonly unknown[]): ReadonlyMap<string, ToolAnswer> {
  const answers = new Map<string, ToolAnswer>()
  for (const line of lines) {
    if (!isDocument(line) || !isDocument(line.message)) continue
    const { toolCallId, timestamp } = line.message
    if (typeof toolCallId === 'string') answers.set(toolCallId, resultOf(line.message, timeIn(line.timestamp) ?? timeIn(timestamp)))
  }
  return answers
}

function resultOf({ content, isError, details }: Document, end: number | undefined): ToolAnswer {
  const metadata = details === undefined || details === null ? undefined : { details }
  return toolAnswer(content, { isError: isError === true, end, metadata })
}

/** A result whose call is not in the log. */
function strayResult(message: Document, time: Time): MessageDraft {
  const call = { id: message.toolCallId, name: message.toolName, input: undefined }
  const part = toolDraft(call, resultOf(message, time.created), message)
  return { message: { role: 'user', time, type: 'toolResult' }, parts: [part] }
}

/** A command that the user ran. Its output is sent to the model with the next prompt, unless it is kept from it. */
function bash(message: Document, time: Time): MessageDraft {
  const { command, output, exitCode, cancelled, truncated, fullOutputPath, excludeFromContext } = message
  const metadata = present({ exit: exitCode, cancelled, truncated, fullOutputPath, excludeFromContext })
  const answer = { text: textOf(output) ?? '', attachments: [], isError: false, end: time.created, metadata: filled(metadata) }
  const part = toolDraft({ id: undefined, name: 'bash', input: { command }, start: time.created }, answer, message)
  return { message: { role: 'user', time, type: 'bashExecution' }, parts: [part] }
}

/** What an extension put into the conversation. */
function custom(entry: Document, time: Time): MessageDraft {
  const { customType, display, details, content } = entry
  const metadata = present({ customType, display, details })
  return { message: { role: 'user', time, type: 'custom', metadata: filled(metadata) }, parts: contentDrafts(content, true) }
}

/** What a branch was about that the conversation left. */
function branchSummary(entry: Document, time: Time): MessageDraft {
  const { summary, fromId, fromHook, details } = entry
  const metadata = present({ fromId, fromHook, details })
  return { message: { role: 'user', time, type: 'branch_summary', metadata: filled(metadata) }, parts: summaryParts(summary) }
}

/** On the path to the leaf the summary stands for all that is before the first entry that was kept. */
function compaction(entry: Document, time: Time): MessageDraft {
  const { summary, firstKeptEntryId, firstKeptEntryIndex, tokensBefore, fromHook, details } = entry
  const marker = present({ type: 'compaction', tail_start_id: textOf(firstKeptEntryId) })
  const metadata = present({ firstKeptEntryIndex, tokensBefore, fromHook, details })
  const message = {
    role: 'assistant' as const,
    time: over(time),
    type: 'compaction',
    summary: true,
    metadata: filled(metadata),
  }
  return { message, parts: [{ part: marker, stored: marker }, ...summaryParts(summary)] }
}

function summaryParts(summary: unknown): readonly PartDraft[] {
  return typeof summary === 'string' ? [textDraft(summary, true)] : contentDrafts(summary, true)
}

/** `input` is without what the cache gave or took; reasoning is part of the output here. */
function tokensOf(usage: unknown): Document | undefined {
  if (!isDocument(usage)) return undefined
  const count = (value: unknown): number => numberOf(value) ?? 0
  const { input, output, totalTokens, cacheRead, cacheWrite, reasoning } = usage
  const cache = { read: count(cacheRead), write: count(cacheWrite) }
  return present({ total: numberOf(totalTokens), input: count(input), output: count(output), reasoning: count(reasoning), cache })
}

function costOf(usage: unknown): number | undefined {
  return isDocument(usage) && isDocument(usage.cost) ? numberOf(usage.cost.total) : undefined
}

function filled(document: Document): Document | undefined {
  return Object.keys(document).length > 0 ? document : undefined
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined
}
