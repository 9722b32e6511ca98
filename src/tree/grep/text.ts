/** The texts of messages and parts that a search reads, and where a pattern stands in one. */
import { type Document, isDocument } from '../../core/documents.js'
import { StorageError } from '../../core/errors.js'
import type { Part, PartKind } from '../../core/parts.js'
import type { Message } from '../../core/records.js'
import { textOfUrl, textsOfBlocks, textsOfInput } from './content.js'

/** What a text belongs to: a part of this kind, or the message's own record (its error, or all of a message of an unknown kind). */
export type GrepKind = PartKind | 'message'

/** A text, and what it is: a field of the record, of a tool its `input`, `output`, `error` or `title`. */
export interface GrepText {
  readonly field: string
  readonly text: string
}

/** What was said, thought, asked of tools and answered by them, and names of files; no ids, no bookkeeping, nothing that is encoded but the text of `data:` URLs. */
export function* textsOfPart(part: Part): Generator<GrepText> {
  switch (part.type) {
    case 'text':
    case 'reasoning':
      yield* textsIn(part, ['text'])
      return
    case 'tool':
      yield* textsOfTool(isDocument(part.state) ? part.state : {})
      return
    case 'file':
      yield* textsOfFile(part)
      if (isDocument(part.source)) yield* textsIn(part.source, ['path'])
      return
    case 'patch':
      yield* named('files', part.files)
      return
    case 'agent':
      yield* textsIn(part, ['name'])
      return
    case 'subtask':
      yield* textsIn(part, ['description', 'command', 'prompt'])
      return
    case 'unknown':
      yield* named('raw', textsOfBlocks(withoutIds(part.raw)))
      return
    case 'step-start':
    case 'step-finish':
    case 'snapshot':
    case 'retry':
    case 'compaction':
      return
    default:
      part satisfies never
  }
}

export function* textsOfMessage(message: Message): Generator<GrepText> {
  if (message.role === 'unknown') yield* named('raw', textsOfBlocks(withoutIds(message.raw)))
  else if (message.role === 'assistant' && isDocument(message.error?.data)) yield* textsIn(message.error.data, ['message', 'reason'], 'error')
}

/** What an interrupted tool had printed stands in its metadata alone; what of an answer is no text, in its `content` or that of the state. */
function* textsOfTool({ title, input, raw, output, error, status, metadata, content, attachments }: Document): Generator<GrepText> {
  yield* textsIn({ title }, ['title'])
  yield* named('input', textsOfInput(input))
  yield* textsIn({ raw }, ['raw'], 'input')
  yield* textsIn({ output, error }, ['output', 'error'])
  if (status !== 'completed' && isDocument(metadata)) yield* textsIn(metadata, ['output'])
  if (isDocument(metadata) && Array.isArray(metadata.content)) yield* named('output', textsOfBlocks(metadata.content))
  yield* named('output', textsOfBlocks(content))
  for (const file of Array.isArray(attachments) ? attachments : []) if (isDocument(file)) yield* textsOfFile(file, 'output')
}

function* textsOfFile(file: Readonly<Partial<Record<'filename' | 'url', unknown>>>, field?: string): Generator<GrepText> {
  yield* textsIn(file, ['filename'], field)
  const text = typeof file.url === 'string' ? textOfUrl(file.url) : undefined
  yield* textsIn({ content: text }, ['content'], field)
}

function* textsIn(record: object, names: readonly string[], field?: string): Generator<GrepText> {
  for (const name of names) {
    const text = (record as Document)[name]
    if (typeof text === 'string' && text !== '') yield { field: field ?? name, text }
  }
}

function* named(field: string, texts: Iterable<string>): Generator<GrepText> {
  for (const text of texts) yield { field, text }
}

/** Ids and the type are set from the key and from the row, and no text. */
function withoutIds({ id: _, sessionID: __, messageID: ___, type: ____, ...raw }: Document): Document {
  return raw
}

/** The first match from a place on, in UTF-16 units. */
export type Matcher = (text: string, from: number) => Range | undefined

export interface Range {
  readonly start: number
  readonly end: number
}

/** @throws StorageError INVALID_OPTION */
export function matcherOf(pattern: string | RegExp, ignoreCase: boolean): Matcher {
  if (pattern === '') throw new StorageError('INVALID_OPTION', { reason: 'an empty text stands everywhere' })
  if (typeof pattern === 'string' && !ignoreCase) {
    return (text, from) => {
      const start = text.indexOf(pattern, from)
      return start < 0 ? undefined : { start, end: start + pattern.length }
    }
  }
  const [source, given] = typeof pattern === 'string' ? [pattern.replace(SPECIAL, '\\$&'), ''] : [pattern.source, pattern.flags.replace(/[gy]/g, '')]
  const expression = new RegExp(source, `g${given}${ignoreCase && !given.includes('i') ? 'i' : ''}`)
  return (text, from) => {
    expression.lastIndex = from
    const match = expression.exec(text)
    return match === null ? undefined : { start: match.index, end: match.index + match[0].length }
  }
}

const SPECIAL = /[\\^$.*+?()[\]{}|/-]/g

/** A line with a match in it, or the part of it around the match. */
export interface Excerpt {
  /** The line that the match begins in, counted from 1. */
  readonly line: number
  readonly text: string
  /** Where the match stands in `text`, in UTF-16 units; one that is longer than 1,000 ends there. */
  readonly match: Range
  /** Whether the line goes on before or behind `text`. */
  readonly cut: { readonly start: boolean; readonly end: boolean }
}

const MOST_MATCHED = 1000

/** One for each line that a match begins in: its first. `context`: characters that are shown before and behind it, of the same line. */
export function* excerptsIn(text: string, find: Matcher, context: number): Generator<Excerpt> {
  let line = 1
  let counted = 0
  for (let from = 0; from <= text.length; ) {
    const match = find(text, from)
    if (match === undefined) return
    const lineStart = match.start === 0 ? 0 : text.lastIndexOf('\n', match.start - 1) + 1
    for (let at = text.indexOf('\n', counted); at >= 0 && at < lineStart; at = text.indexOf('\n', at + 1)) line++
    counted = lineStart
    // The line that its last character stands in: a match may end with a line break.
    const lineEnd = endOfLine(text, Math.max(match.start, match.end - 1))
    yield { line, ...around(text, match, { start: lineStart, end: lineEnd }, context) }
    from = Math.max(endOfLine(text, match.start) + 1, match.end)
  }
}

function endOfLine(text: string, from: number): number {
  const end = text.indexOf('\n', from)
  return end < 0 ? text.length : end
}

function around(text: string, { start, end }: Range, line: Range, context: number): Omit<Excerpt, 'line'> {
  const shownEnd = whole(text, Math.min(end, start + MOST_MATCHED))
  const from = whole(text, Math.max(line.start, start - context))
  const to = shownEnd < end ? shownEnd : whole(text, Math.max(end, Math.min(line.end, end + context)))
  return { text: text.slice(from, to), match: { start: start - from, end: shownEnd - from }, cut: { start: from > line.start, end: to < line.end } }
}

/** Not between the halves of a pair. */
function whole(text: string, at: number): number {
  return at > 0 && isHalf(text, at - 1, 0xd800) && isHalf(text, at, 0xdc00) ? at - 1 : at
}

function isHalf(text: string, at: number, first: number): boolean {
  return (text.charCodeAt(at) & 0xfc00) === first
}
