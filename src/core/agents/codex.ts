/**
 * Messages of Codex: a message is an item, or a step of the model with all its items, the outputs of its calls, the settings of its
 * turn, its token counts and the mark that it was aborted. Each step of a turn has the turn's settings (model, folder).
 */
import { type Document, isDocument, present, type Reading } from '../documents.js'
import type { RecordFormat } from '../formats.js'
import type { MessageKey } from '../keys.js'
import { toPart } from '../parts.js'
import { type MessageReading, toSession } from '../records.js'
import { contentDrafts, textDraft } from './blocks.js'
import { answerOf, eventDrafts, itemDrafts, toolOf } from './codex-parts.js'
import { tokensIn } from './codex-tokens.js'
import { type MessageDraft, type MessageLine, type PartDraft, rawReading, readingOf, timeIn } from './message-draft.js'

export const codexFormat: RecordFormat = {
  session: toSession,
  message: (document, key) => assemble([{ document, use: 'own' }], key),
  part: toPart,
  assemble,
}

/** What a line says, whichever version wrote it. */
interface Said {
  readonly kind: 'item' | 'event' | 'settings' | 'compacted' | 'letter' | 'unknown'
  readonly use: MessageLine['use']
  readonly payload: Document
  readonly time: number | undefined
  readonly line: Document
}

function assemble(lines: readonly MessageLine[], key: MessageKey): Reading<MessageReading> {
  const said: Said[] = []
  for (const { document, use } of lines) if (isDocument(document)) said.push(saidBy(document, use))
  const own = said.find(({ kind, use }) => use === 'own' && kind !== 'settings') ?? said.find(({ use }) => use === 'own')
  if (own === undefined) return { damage: 'the document is no object' }
  if (own.kind === 'compacted' || isCompaction(own)) return readingOf(compaction(own), key)
  if (own.kind === 'letter' || (own.kind === 'item' && own.payload.type === 'agent_message')) return readingOf(letter(own), key)
  const role = roleOf(own)
  if (role === 'assistant') return readingOf(stepDraft(said), key)
  return role === undefined ? rawReading(own.line, key) : readingOf(userDraft(said, role), key)
}

function saidBy(line: Document, use: MessageLine['use']): Said {
  const time = timeIn(line.timestamp)
  const { type, payload } = line
  if (!isDocument(payload)) return { kind: payload === undefined ? 'item' : 'unknown', use, payload: line, time, line }
  return { kind: KINDS.get(type) ?? 'unknown', use, payload, time, line }
}

const KINDS: ReadonlyMap<unknown, Said['kind']> = new Map([
  ['response_item', 'item'],
  ['event_msg', 'event'],
  ['turn_context', 'settings'],
  ['compacted', 'compacted'],
  ['inter_agent_communication', 'letter'],
])

const EVENT_ROLES: ReadonlyMap<unknown, 'user' | 'assistant'> = new Map([
  ['user_message', 'user'],
  ['agent_message', 'assistant'],
  ['agent_reasoning', 'assistant'],
  ['item_completed', 'assistant'],
  ['exited_review_mode', 'assistant'],
  ['error', 'assistant'],
])

/** Undefined: a line of a kind that is not known. 'told': by Codex, in the user's name. */
function roleOf({ kind, payload }: Said): 'user' | 'told' | 'assistant' | undefined {
  const { type, role } = payload
  if (kind === 'event') return EVENT_ROLES.get(type)
  if (kind !== 'item') return undefined
  if (type === 'message') return role === 'assistant' || role === 'user' ? role : role === 'developer' || role === 'system' ? 'told' : undefined
  if (type === 'reasoning') return 'assistant'
  return typeof type === 'string' && (type.endsWith('_call') || type.endsWith('_output')) ? 'assistant' : undefined
}

function isCompaction({ kind, payload }: Said): boolean {
  return kind === 'item' && (payload.type === 'compaction' || payload.type === 'compaction_summary' || payload.type === 'context_compaction')
}

/** The summary stands in the log; one that only the provider can read does not. */
function compaction({ payload, time, line }: Said): MessageDraft {
  const { message } = payload
  const texts = typeof message === 'string' && message !== '' ? [textDraft(message, true, line)] : []
  return {
    message: { role: 'assistant', type: 'compaction', summary: true, time: { created: time ?? 0, ...(time !== undefined && { completed: time }) } },
    parts: [{ part: { type: 'compaction' }, stored: line }, ...texts],
  }
}

/** What another agent wrote to this one. */
function letter({ kind, payload, time: created = 0 }: Said): MessageDraft {
  const { author, recipient } = payload
  const metadata = present({ author, recipient })
  return {
    message: { role: 'user', type: 'agent_message', time: { created }, ...(Object.keys(metadata).length > 0 && { metadata }) },
    parts: kind === 'item' ? itemDrafts(payload, true) : contentDrafts(payload.content, true),
  }
}

function userDraft(said: readonly Said[], role: 'user' | 'told'): MessageDraft {
  const parts = draftsOf(said, role === 'told')
  const isSynthetic = parts.length > 0 && parts.every(({ part }) => part.type === 'text' && part.synthetic === true)
  const type = role === 'told' ? 'system' : isSynthetic ? 'synthetic' : undefined
  return { message: { role: 'user', time: { created: said[0]?.time ?? 0 }, ...(type !== undefined && { type }) }, parts }
}

/** There is one for nearly every line that the model wrote: hence one pass. */
function stepDraft(said: readonly Said[]): MessageDraft {
  let created: number | undefined
  let completed: number | undefined
  let settings: Document | undefined
  let aborted: Document | undefined
  let failed: Document | undefined
  const counts: Document[] = []
  for (const one of said) {
    const { kind, use, payload, time } = one
    if (kind === 'settings') settings = payload
    else if (kind === 'event' && payload.type === 'token_count') counts.push(payload)
    else if (kind === 'event' && payload.type === 'turn_aborted') aborted ??= payload
    else if (use === 'own' && roleOf(one) !== undefined) {
      if (kind === 'event' && payload.type === 'error') failed ??= payload
      created ??= time ?? 0
      if (time !== undefined) completed = Math.max(completed ?? time, time)
    }
  }
  const message = {
    role: 'assistant' as const,
    time: { created: created ?? 0, ...(completed !== undefined && { completed }) },
    ...settingsFields(settings, counts.at(-1)),
    tokens: tokensIn(counts),
    error: errorOf(aborted, failed),
  }
  return { message, parts: draftsOf(said, false) }
}

function errorOf(aborted: Document | undefined, failed: Document | undefined): Document | undefined {
  if (failed !== undefined) return { name: 'APIError', data: present({ message: failed.message, codex_error_info: failed.codex_error_info }) }
  return aborted && { name: 'Aborted', data: present({ reason: aborted.reason }) }
}

/** Model, folder and effort of the turn. A token count may name the model too. */
function settingsFields(settings: Document | undefined, usage: Document | undefined): Document {
  const info = usage !== undefined && isDocument(usage.info) ? usage.info : {}
  const cwd = settings?.cwd
  const model = settings?.model ?? info.model
  const metadata = present({ turn_id: settings?.turn_id, effort: settings?.effort })
  return {
    modelID: typeof model === 'string' ? model : undefined,
    path: typeof cwd === 'string' ? { cwd, root: cwd } : undefined,
    metadata: Object.keys(metadata).length > 0 ? metadata : undefined,
  }
}

/** Parts in the order of their lines. A call has its answer; what an item says again an event need not say. */
function draftsOf(said: readonly Said[], synthetic: boolean): readonly PartDraft[] {
  const answers = new Map<unknown, Said>()
  for (const one of said) if (one.use === 'answer') answers.set(one.payload.call_id, one)
  const drafts: PartDraft[] = []
  const events = new Set<PartDraft>()
  for (const { kind, use, payload, time } of said) {
    if (use === 'answer') continue
    if (kind === 'event') {
      for (const draft of eventDrafts(payload)) {
        events.add(draft)
        drafts.push(draft)
      }
    } else if (kind === 'item') {
      const answer = answers.get(payload.call_id)
      const tool = toolOf(payload, time, answer && answerOf(answer.payload, answer.time))
      if (tool !== undefined) drafts.push(tool)
      else for (const draft of itemDrafts(payload, synthetic)) drafts.push(draft)
    }
  }
  if (events.size === 0) return drafts
  const nameOf = ({ part }: PartDraft): string => `${textOf(part.type)} ${textOf(part.text)}`
  const spoken = new Set(drafts.filter((draft) => !events.has(draft)).map(nameOf))
  return drafts.filter((draft) => !events.has(draft) || !spoken.has(nameOf(draft)))
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}
