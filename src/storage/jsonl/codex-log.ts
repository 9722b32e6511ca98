/**
 * Codex's logs: `rollout-<time>-<uuid>.jsonl` below `sessions/YYYY/MM/DD`, or `.jsonl.zst` after a week, or in `archived_sessions`.
 * The first line is the head; a log whose head is damaged goes by its file's name and the settings of its first turn.
 */
import { basename } from 'node:path'
import { isToldByAgent, requestIn } from '../../core/agents/codex-text.js'
import { timeIn } from '../../core/agents/message-draft.js'
import { type Document, isDocument } from '../../core/documents.js'
import { listCodex, rolloutId } from './codex-files.js'
import { ROLES } from './codex-kinds.js'
import { readCodexLine } from './codex-tree.js'
import { isoTime } from './iso-time.js'
import { begins } from './json-bytes.js'
import { timeAhead } from './line-times.js'
import type { LogAdapter, LogFile, LogMeta } from './log-adapter.js'
import { ownId } from './log-chain.js'
import { promptIn } from './prompt-text.js'
import { Skim } from './skim.js'
import { Words } from './words.js'

export const codexAdapter: LogAdapter = {
  agent: 'codex',
  kind: 'codex-jsonl',
  format: 'codex',
  list: listCodex,
  read: readCodexLine,
  tells,
  describe,
  timeOf,
  timePlace: timeAhead,
}

/** Every line that Codex writes begins with these, and the time between them has 24 characters. */
const BEGINNING = Buffer.from('{"timestamp":"')
const MIDDLE = Buffer.from('","type":"')
const TIME_END = BEGINNING.length + 24
const TYPE_START = TIME_END + MIDDLE.length
const INSIDE = Buffer.from('","payload":{"type":"')

type Light = 'head' | 'settings' | 'item' | 'event' | 'letter'

const LIGHT = new Words<Light>({
  session_meta: 'head',
  turn_context: 'settings',
  response_item: 'item',
  event_msg: 'event',
  inter_agent_communication: 'letter',
})
const NAMED = new Words<true>({ thread_name_updated: true })
const PROMPTS = new Words<true>({ message: true, user_message: true })
const LETTERS = new Words<true>({ agent_message: true })

const [TIME, TYPE, KIND, ROLE, ID] = [0, 1, 2, 3, 4] as const
const head = new Skim({ timestamp: TIME, type: TYPE, role: ROLE, id: ID, payload: { type: KIND, role: ROLE } })

/** Parsed are the head, the settings of the first turn, names, and messages until the first prompt is found. */
function tells(bytes: Buffer, start: number, end: number, meta: LogMeta): boolean {
  if (!begins(bytes, start, end, BEGINNING) || !begins(bytes, start + TIME_END, end, MIDDLE)) return tellsSlowly(bytes, start, end, meta)
  const type = start + TYPE_START
  const first = type < end ? bytes[type] : undefined
  // 'r' and 'e': nearly every line
  if (first === 0x72) return meta.prompt === undefined && mayBePrompt(bytes, start, end)
  if (first === 0x65) {
    const kind = type + 9
    if (!begins(bytes, kind, end, INSIDE)) return false
    const name = kind + INSIDE.length
    if (bytes[name] !== 0x74 && bytes[name] !== 0x75) return false
    const after = quoteIn(bytes, name, end)
    return NAMED.at(bytes, name, after) === true || (meta.prompt === undefined && PROMPTS.at(bytes, name, after) === true)
  }
  return tellsOf(LIGHT.at(bytes, type, quoteIn(bytes, type, end)), meta)
}

function tellsOf(kind: Light | undefined, meta: LogMeta): boolean {
  if (kind === 'head') return isFirst(meta)
  if (kind === 'letter') return meta.prompt === undefined
  return kind === 'settings' && (meta.directory === undefined || meta.model === undefined)
}

/** A head further down is that of the session which this one is a copy of. */
function isFirst({ entries }: LogMeta): boolean {
  return entries <= 1
}

/** Lines of other shapes: of the first versions, or rewritten by another program. */
function tellsSlowly(bytes: Buffer, start: number, end: number, meta: LogMeta): boolean {
  const isAllKnown = meta.id !== undefined && meta.directory !== undefined && meta.model !== undefined && meta.prompt !== undefined
  if (isAllKnown && meta.notes?.old === true) return false
  if (!head.whole(bytes, start, end)) return false
  const kind = LIGHT.in(head, TYPE)
  if (kind === 'event') return NAMED.in(head, KIND) === true || (meta.prompt === undefined && PROMPTS.in(head, KIND) === true)
  if (kind === 'item' || (kind === undefined && PROMPTS.in(head, TYPE))) return meta.prompt === undefined && isPrompt()
  if (kind !== undefined) return tellsOf(kind, meta)
  return isFirst(meta) && !head.has(TYPE) && head.has(ID) && head.has(TIME)
}

function mayBePrompt(bytes: Buffer, start: number, end: number): boolean {
  return head.whole(bytes, start, end) && (PROMPTS.in(head, KIND) === true || LETTERS.in(head, KIND) === true) && isPrompt()
}

/** Of an item that was walked over. */
function isPrompt(): boolean {
  return ROLES.in(head, ROLE) === 'user' || LETTERS.in(head, KIND) === true
}

/** Where the next quote of the line is; -1 when there is none. */
function quoteIn(bytes: Buffer, from: number, end: number): number {
  const quote = bytes.indexOf(0x22, from)
  return quote < end ? quote : -1
}

function describe(document: Document, meta: LogMeta, { path }: LogFile): void {
  const payload = isDocument(document.payload) ? document.payload : document
  if (document.type === 'session_meta') describeHead(payload, meta, path, document.timestamp)
  else if (document.type === 'turn_context') describeSettings(payload, meta)
  else if (payload.type === 'thread_name_updated') describeName(payload, meta)
  else if (document.type === undefined && document.id !== undefined) {
    describeHead(document, meta, path, document.timestamp)
    meta.notes = { ...meta.notes, old: true }
  } else describePrompt(payload, meta)
}

function describeHead(payload: Document, meta: LogMeta, path: string, written: unknown): void {
  // The name counts: a head may be a copy of another session's.
  const id = rolloutId(basename(path)) ?? ownId(payload.id)
  if (id !== undefined) meta.id ??= id
  const created = timeIn(payload.timestamp) ?? timeIn(written)
  if (created !== undefined) meta.created ??= created
  describePlace(payload, meta)
  const version = textIn(payload.cli_version)
  if (version !== undefined) meta.version ??= version
  const fork = ownId(payload.forked_from_id)
  if (fork !== undefined) meta.fork = fork
  const source = fieldsOf(payload.source)
  const parent = ownId(fieldsOf(fieldsOf(source.subagent).thread_spawn).parent_thread_id ?? payload.parent_thread_id)
  if (parent !== undefined) meta.parent = parent
  const provider = textIn(payload.model_provider)
  if (provider !== undefined) meta.notes = { ...meta.notes, provider }
}

function describeSettings(payload: Document, meta: LogMeta): void {
  describePlace(payload, meta)
  const id = textIn(payload.model)
  if (id !== undefined) meta.model ??= { id, providerID: textIn(meta.notes?.provider) ?? 'openai' }
}

function describePlace({ cwd }: Document, meta: LogMeta): void {
  const directory = textIn(cwd)
  if (directory !== undefined) meta.directory ??= directory
}

/** The newest name counts. */
function describeName({ thread_name, name }: Document, meta: LogMeta): void {
  const title = textIn(thread_name) ?? textIn(name)
  if (title !== undefined) meta.title = title
}

/** The first text that somebody typed, or that another agent sent. */
function describePrompt({ content, message }: Document, meta: LogMeta): void {
  const blocks: readonly unknown[] = Array.isArray(content) ? content : [content ?? message]
  const texts = blocks.map((block) => (isDocument(block) ? block.text : block))
  const prompt = promptIn(
    texts.map((text) => (typeof text === 'string' ? requestIn(text) : text)),
    (text) => !isToldByAgent(text),
  )
  if (prompt !== undefined) meta.prompt ??= prompt
}

function textIn(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}

function fieldsOf(value: unknown): Document {
  return isDocument(value) ? value : {}
}

function timeOf(bytes: Buffer, start: number, end: number): number | undefined {
  const isPlaced = start + TIME_END < end && begins(bytes, start, end, BEGINNING) && bytes[start + TIME_END] === 0x22
  if (isPlaced) return isoTime(bytes, start + BEGINNING.length - 1, start + TIME_END + 1)
  head.run(bytes, start, end)
  return isoTime(bytes, head.from[TIME] as number, head.to[TIME] as number)
}
