/**
 * A message as text to search: what was said, thought, asked of tools and answered by them, and the names of files.
 *
 * Never in it: ids, times, hashes, snapshots, tokens, cost, file content as `data:` URL or base64, parts of unknown kind.
 * So two messages with the same content have the same text, and a change of bookkeeping is no change of text.
 * A store guarantees the few fields that tell a kind of part; any other field may hold anything, and what is no text has no text.
 */
import { type Document, isDocument } from '../../core/documents.js'
import { checkNumber, withDefaults } from '../../core/options.js'
import type { FilePart, Part, SubtaskPart, TextPart, ToolPart } from '../../core/parts.js'
import type { MessageNode } from '../../tree/types.js'
import type { ProjectedMessage } from '../ports.js'
import { CHUNK_CHARACTERS, chunkSections } from './chunk.js'
import { cleanText } from './clean-text.js'
import { textHashOf } from './document.js'

export { PROJECTION_VERSION } from './document.js'

export interface ProjectionOptions {
  /** Text of one message beyond this many bytes of UTF-8 is left out and counted. @default 262_144 */
  readonly maxBytes?: number
  /** The longest chunk, in UTF-16 units. @default 1600 */
  readonly chunkCharacters?: number
}

export const MAX_BYTES = 256 * 1024

const projectionDefaults: Required<ProjectionOptions> = { maxBytes: MAX_BYTES, chunkCharacters: CHUNK_CHARACTERS }

/** @throws StorageError INVALID_OPTION */
export function projectMessage(node: MessageNode, options: ProjectionOptions = {}): ProjectedMessage {
  return chunkedWithin(sectionsOf(node.parts), options)
}

/** The text of each part that has any, in order. */
export function sectionsOf(parts: readonly Part[], clean: (text: string) => string = cleanText): readonly string[] {
  return parts.map((part) => clean(sectionOf(part)).trim()).filter((section) => section !== '')
}

/** Clean sections as chunks, within the budget of one message. @throws StorageError INVALID_OPTION */
export function chunkedWithin(given: readonly string[], options: ProjectionOptions): ProjectedMessage {
  const { maxBytes, chunkCharacters } = withDefaults(projectionDefaults, options)
  checkNumber('maxBytes', maxBytes, 0)
  const { sections, truncatedBytes } = withinBudget(given, maxBytes)
  const chunks = chunkSections(sections, chunkCharacters)
  return { chunks, truncatedBytes, textHash: textHashOf(chunks) }
}

/** Keeps sections until the budget is spent, the last one in part; joints between sections are not counted. */
function withinBudget(sections: readonly string[], maxBytes: number): { readonly sections: readonly string[]; readonly truncatedBytes: number } {
  const kept: string[] = []
  let left = maxBytes
  let truncatedBytes = 0
  for (const section of sections) {
    const head = Buffer.byteLength(section) <= left ? section : utf8Head(section, left)
    const bytes = Buffer.byteLength(head)
    if (head !== '') kept.push(head)
    // what is left once a section did not fit is spent, so that the text ends at one place
    left = head.length === section.length ? left - bytes : 0
    truncatedBytes += Buffer.byteLength(section) - bytes
  }
  return { sections: kept, truncatedBytes }
}

/** The longest beginning of at most `bytes` bytes that ends between two characters. */
function utf8Head(text: string, bytes: number): string {
  const encoded = Buffer.from(text)
  let end = Math.min(bytes, encoded.length)
  while (end > 0 && ((encoded[end] ?? 0) & 0xc0) === 0x80) end--
  return encoded.toString('utf8', 0, end)
}

function sectionOf(part: Part): string {
  switch (part.type) {
    case 'text':
      return textOf(part)
    case 'reasoning':
      return text(part.text)
    case 'tool':
      return toolText(part)
    case 'file':
      return fileNames(part).join('\n')
    case 'patch':
      return lines(list(part.files))
    case 'agent':
      return text(part.name)
    case 'subtask':
      return subtaskText(part)
    case 'step-start':
    case 'step-finish':
    case 'snapshot':
    case 'retry':
    case 'compaction':
    case 'unknown':
      return ''
    default:
      part satisfies never
      return ''
  }
}

/**
 * Synthetic text (the content of a file that the user named, what a command expanded to) was part of the conversation, so it is kept;
 * the reminders that a harness repeats in it on every turn are not. Ignored text never reached the model.
 */
function textOf(part: TextPart): string {
  if (part.ignored) return ''
  return part.synthetic ? withoutReminders(text(part.text)) : text(part.text)
}

const REMINDER = '<system-reminder>'
const REMINDER_END = '</system-reminder>'

function withoutReminders(text: string): string {
  let kept = ''
  let at = 0
  for (;;) {
    const start = text.indexOf(REMINDER, at)
    const end = start < 0 ? -1 : text.indexOf(REMINDER_END, start)
    if (end < 0) return kept + text.slice(at)
    kept += text.slice(at, start)
    at = end + REMINDER_END.length
  }
}

/** Ids that OpenCode generated. Tools print them for the model; in what people write they stay. */
const GENERATED_ID = /\b(?:ses|msg|prt|per|que|evt|pty|wrk|tool)_[0-9a-f]{12}[0-9A-Za-z]{14}\b/g

function toolText({ tool, state: given }: ToolPart): string {
  const state: Document = isDocument(given) ? given : {}
  const attachments = state.status === 'completed' ? list(state.attachments) : []
  const names = attachments.filter(isDocument).flatMap(fileNames)
  return lines([tool, state.title, ...(todoLines(text(tool), state) ?? [inputText(state.input), outputText(state)]), ...names]).replace(
    GENERATED_ID,
    '',
  )
}

function outputText({ status, output, error, metadata }: Document): string {
  if (status === 'completed') return text(output)
  // what an interrupted tool had printed stands nowhere else
  const printed = isDocument(metadata) ? text(metadata.output) : ''
  return status === 'error' ? lines([error, printed]) : printed
}

/** In UTF-16 units; beyond it texts stand without their names, lest a name before each text of a long list make a huge text. */
const MOST_NAMES = 2 ** 20

/** Names and texts of the input, without punctuation: one line per text, under the nearest name. Numbers say nothing alone. */
function inputText(input: unknown): string {
  const found: string[] = []
  let named = 0
  const pending: { readonly name: string; readonly value: unknown }[] = [{ name: '', value: input }]
  // a stack, not recursion: the depth of what a model sends has no limit
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const { name, value } = next
    if (typeof value === 'string') {
      named += name.length
      found.push(name === '' || named > MOST_NAMES ? value : `${name}: ${value}`)
    }
    if (typeof value !== 'object' || value === null) continue
    const fields = Array.isArray(value) ? value.map((item) => [name, item] as const) : Object.entries(value)
    for (const [key, field] of fields.reverse()) pending.push({ name: key, value: field })
  }
  return lines(found)
}

/** The items of a todo tool; its output is the same list again, as JSON. */
function todoLines(tool: string, { input, status, output }: Document): readonly string[] | undefined {
  if (!/^todo_?(?:write|read)$/i.test(tool)) return undefined
  const given = isDocument(input) ? input.todos : undefined
  const todos = Array.isArray(given) ? given : parsedList(status === 'completed' ? text(output) : '')
  return todos?.filter(isDocument).map((todo) => `${text(todo.content)}${text(todo.status) === '' ? '' : ` (${text(todo.status)})`}`)
}

function parsedList(output: string): readonly unknown[] | undefined {
  try {
    const value: unknown = JSON.parse(output)
    return Array.isArray(value) ? value : undefined
  } catch {
    return undefined
  }
}

function fileNames(file: FilePart | Document): readonly string[] {
  const source = isDocument(file.source) ? file.source : {}
  const names = [text(file.filename), text(source.path), text(source.name), fileUrlPath(text(file.url))]
  return [...new Set(names)].filter((name) => name !== '' && !/^data:/i.test(name))
}

function fileUrlPath(url: string): string {
  if (!url.startsWith('file:')) return ''
  try {
    return decodeURIComponent(new URL(url).pathname)
  } catch {
    return ''
  }
}

function subtaskText({ agent, description, command, prompt }: SubtaskPart): string {
  return lines([agent, description, command, prompt])
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

/** One line per text that there is; anything that is no text is left out. */
function lines(values: readonly unknown[]): string {
  return values.filter((value) => typeof value === 'string' && value !== '').join('\n')
}
