/**
 * Messages of Claude Code's logs in the V1 shape. An assistant's message is made of several lines, mostly one per content block,
 * which all carry the API's message around it; answers of tools come in lines of users, and stand here with their calls.
 */
import { type Document, isDocument, present, type Reading } from '../documents.js'
import type { RecordFormat } from '../formats.js'
import type { MessageKey } from '../keys.js'
import { toPart } from '../parts.js'
import { type MessageReading, toSession } from '../records.js'
import { answeredBy, answerIn, blockDraft, callIn, contentDrafts, type ToolAnswer, textDraft, toolDraft } from './blocks.js'
import { type MergedBlock, mergedBlocks } from './claude-blocks.js'
import { type MessageDraft, type MessageLine, type PartDraft, rawReading, readingOf, timeIn } from './message-draft.js'

export const claudeFormat: RecordFormat = {
  session: toSession,
  message: (document, key) => assembleClaude([{ document, use: 'own' }], key),
  part: toPart,
  assemble: assembleClaude,
}

function assembleClaude(lines: readonly MessageLine[], key: MessageKey): Reading<MessageReading> {
  const own: unknown[] = []
  const answers: unknown[] = []
  for (const { document, use } of lines) (use === 'own' ? own : answers).push(document)
  const [first] = own
  if (!isDocument(first)) return { damage: 'the document is no object' }
  switch (kindOf(first)) {
    case 'assistant':
      return readingOf(assistant(own.filter(isDocument), answersIn(answers)), key)
    case 'user':
      return isDocument(first.message)
        ? readingOf(user(first, first.message, answers.length > 0), key)
        : { ...rawReading(first, key), odd: 'a user line without its message' }
    case 'system':
      if (typeof first.content === 'string') return readingOf(system(first, first.content), key)
      return isDocument(first.error) ? readingOf(system(first, errorText(first.error)), key) : rawReading(first, key)
    case 'attachment':
      return attachment(first, key)
    default:
      return rawReading(first, key)
  }
}

/** Lines of some versions and tools have no type; their message tells who speaks. */
function kindOf({ type, message }: Document): unknown {
  if (type !== undefined || !isDocument(message)) return type
  if (message.role === 'user' || message.role === 'assistant') return message.role
  return message.usage === undefined ? undefined : 'assistant'
}

/** By the id of the call. A call that is answered twice has the later answer. */
function answersIn(lines: readonly unknown[]): ReadonlyMap<string, ToolAnswer> {
  const answers = new Map<string, ToolAnswer>()
  for (const line of lines) {
    if (!isDocument(line) || !isDocument(line.message) || !Array.isArray(line.message.content)) continue
    const { content } = line.message
    const isOnly = isDocument(line.toolUseResult) && content.filter((block) => answeredBy(block) !== undefined).length === 1
    // What the tool gave back as data stands once on a line, beside its results.
    const metadata = isOnly ? { toolUseResult: line.toolUseResult } : undefined
    const end = timeIn(line.timestamp)
    for (const block of content) {
      const id = answeredBy(block)
      if (id !== undefined) answers.set(id, answerIn(block, end, metadata))
    }
  }
  return answers
}

function assistant(lines: readonly Document[], answers: ReadonlyMap<string, ToolAnswer>): MessageDraft {
  const [first = {}] = lines
  const said = lines.map(({ message }) => message).filter(isDocument)
  const created = timeIn(first.timestamp) ?? 0
  const stop = lastOf(said, 'stop_reason')
  const completed = stop === undefined ? undefined : latestTime(lines)
  const named = textOf(lastOf(said, 'model'))
  // What the program says in the model's place has the model `<synthetic>`.
  const model = named?.startsWith('<') === true ? undefined : named
  const blocks = mergedBlocks(lines)
  const message = {
    role: 'assistant' as const,
    time: { created, ...(completed !== undefined && { completed }) },
    modelID: model,
    providerID: model === undefined ? undefined : 'anthropic',
    path: pathOf(first),
    tokens: tokensOf(lastOf(said, 'usage')),
    cost: numberOf(lastOf(lines, 'costUSD')),
    finish: typeof stop === 'string' ? stop : undefined,
    error: first.isApiErrorMessage === true ? { name: 'APIError', data: { message: textIn(blocks.map(({ block }) => block)) } } : undefined,
    metadata: metadataOf(first, { requestId: lastOf(lines, 'requestId'), messageId: lastOf(said, 'id') }),
  }
  const own = ownAnswers(blocks)
  const parts: PartDraft[] = []
  for (const { block, time } of blocks) {
    const call = callIn(block, time)
    if (call !== undefined) {
      const answer = typeof call.id === 'string' ? (answers.get(call.id) ?? own?.get(call.id)) : undefined
      parts.push(toolDraft(call, answer, block))
    } else if (own?.has(answeredBy(block) ?? '') !== true) parts.push(blockDraft(block))
  }
  return { message, parts }
}

/** Answers of tools that the provider runs: they stand in the message itself. Undefined when there are none. */
function ownAnswers(blocks: readonly MergedBlock[]): ReadonlyMap<string, ToolAnswer> | undefined {
  if (!blocks.some(({ block }) => answeredBy(block) !== undefined)) return undefined
  const called = new Set(blocks.map(({ block }) => callIn(block)?.id))
  const answers = new Map<string, ToolAnswer>()
  for (const { block } of blocks) {
    const id = answeredBy(block)
    if (id !== undefined && called.has(id) && isDocument(block)) answers.set(id, answerIn(block))
  }
  return answers
}

/**
 * A line of a user. Answers in it stand with their calls in other messages, so they are parts here only where nothing else is,
 * or where the line is said to answer here (`isAnswer`): then their calls are not in the log.
 */
function user(line: Document, message: Document, isAnswer: boolean): MessageDraft {
  const blocks = Array.isArray(message.content) ? message.content : []
  const results = blocks.filter((block) => answeredBy(block) !== undefined)
  const isOnlyAnswers = results.length > 0 && results.length === blocks.length
  const isSummary = line.isCompactSummary === true
  const isSynthetic = isSummary || line.isMeta === true
  const answers = isAnswer || isOnlyAnswers ? answersIn([line]) : new Map<string, ToolAnswer>()
  const parts = blocks.flatMap((block): readonly PartDraft[] => {
    const id = answeredBy(block)
    if (id === undefined) return [blockDraft(block, isSynthetic)]
    const answer = answers.get(id)
    return answer === undefined ? [] : [toolDraft({ id, name: undefined, input: undefined }, answer, block)]
  })
  const type = isSummary ? 'compaction' : isSynthetic ? 'synthetic' : isOnlyAnswers ? 'tool_result' : undefined
  const texts = Array.isArray(message.content) ? parts : contentDrafts(message.content, isSynthetic)
  return told(line, type, isSummary ? [{ part: { type: 'compaction' }, stored: { type: 'compaction' } }, ...texts] : texts)
}

/** What the program tells: commands, notices, the line where a compaction took place. */
function system(line: Document, content: string): MessageDraft {
  const { subtype, level, compactMetadata, logicalParentUuid, error, retryInMs, retryAttempt, maxRetries } = line
  const failure = { error, retryInMs, retryAttempt, maxRetries }
  return told(line, 'system', [textDraft(content, true)], { subtype, level, compactMetadata, logicalParentUuid, ...failure })
}

/** What an error says stands in it, or in the answer of the API that it holds. */
function errorText(error: Document): string {
  for (let at: unknown = error; isDocument(at); at = at.error) if (typeof at.message === 'string' && at.message !== '') return at.message
  return typeof error.status === 'number' ? `API error ${error.status}` : 'API error'
}

/** A prompt that was typed while the model was at work; anything else that is attached is kept raw. */
function attachment(line: Document, key: MessageKey): Reading<MessageReading> {
  const { attachment: attached } = line
  if (!isDocument(attached) || attached.type !== 'queued_command' || (typeof attached.prompt !== 'string' && !Array.isArray(attached.prompt))) {
    return rawReading(line, key)
  }
  const { prompt, commandMode } = attached
  const isTyped = commandMode === undefined || commandMode === 'prompt'
  return readingOf(told(line, 'queued_command', contentDrafts(prompt, !isTyped), { commandMode }), key)
}

function told(line: Document, type: string | undefined, parts: readonly PartDraft[], more: Document = {}): MessageDraft {
  const message = {
    role: 'user' as const,
    time: { created: timeIn(line.timestamp) ?? 0 },
    type,
    metadata: metadataOf(line, { cwd: textOf(line.cwd), ...more }),
  }
  return { message, parts }
}

/** Of the line's own fields those that tell where and how it was written. */
function metadataOf(line: Document, more: Document): Document | undefined {
  const { version, gitBranch, agentId, promptSource, sessionKind, permissionMode, forkedFrom } = line
  const isSidechain = line.isSidechain === true ? true : undefined
  const fields = present({ version, gitBranch, agentId, isSidechain, promptSource, sessionKind, permissionMode, forkedFrom, ...more })
  return Object.keys(fields).length > 0 ? fields : undefined
}

function pathOf({ cwd }: Document): Document | undefined {
  return typeof cwd === 'string' ? { cwd, root: cwd } : undefined
}

/** `input_tokens` is without what was read from the cache or written to it; reasoning is part of the output here. */
function tokensOf(usage: unknown): Document | undefined {
  if (!isDocument(usage)) return undefined
  const count = (value: unknown): number => numberOf(value) ?? 0
  return {
    input: count(usage.input_tokens),
    output: count(usage.output_tokens),
    reasoning: 0,
    cache: { read: count(usage.cache_read_input_tokens), write: count(usage.cache_creation_input_tokens) },
  }
}

/** The last value that a field has on any of the documents; null counts as none. */
function lastOf(documents: readonly Document[], field: string): unknown {
  for (let at = documents.length - 1; at >= 0; at--) {
    const value = documents[at]?.[field]
    if (value !== undefined && value !== null) return value
  }
  return undefined
}

function latestTime(lines: readonly Document[]): number | undefined {
  let latest: number | undefined
  for (const { timestamp } of lines) {
    const time = timeIn(timestamp)
    if (time !== undefined && (latest === undefined || time > latest)) latest = time
  }
  return latest
}

function textIn(blocks: readonly unknown[]): string {
  return blocks.flatMap((block) => (isDocument(block) && typeof block.text === 'string' ? [block.text] : [])).join('\n')
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined
}
