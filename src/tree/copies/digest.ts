/** One copy of a session as hashes of its records: small enough to hold two copies of any session against each other. */
import { isDocument } from '../../core/documents.js'
import { compareText, type MessageId, type PartId } from '../../core/ids.js'
import { inlinePartKey } from '../../core/keys.js'
import type { Part } from '../../core/parts.js'
import type { Message, SessionRecord } from '../../core/records.js'
import { unwrap } from '../../core/stage.js'
import { fingerprint } from '../../storage/fingerprint.js'
import type { SessionCopy } from '../../storage/merged.js'
import { hydrateSessionTree } from '../hydrate.js'
import { planTree } from '../plan.js'
import { resolveSessionTree } from '../resolve.js'
import type { Sessions } from '../sessions/sessions.js'
import type { MessageNode, MessageRefNode } from '../types.js'
import { lookAgain } from '../watch/told.js'

export interface MessageDigest {
  /** Hash of the message's own fields; undefined when it is damaged. */
  readonly whole: string | undefined
  /** Undefined when it is damaged, and of kinds that conversions make or take away: summaries, switches, unknown ones. */
  readonly role: 'user' | 'assistant' | undefined
  /** Hash of the visible text, white space aside; undefined when a part is damaged, and with files, for which a conversion may write a text. */
  readonly text: string | undefined
  /** Its parts stand inside it, so their ids are places. */
  readonly isFolded: boolean
  /** Hashes of the parts, undefined for damaged ones. */
  readonly parts: ReadonlyMap<PartId, string | undefined>
}

export interface CopyDigest {
  readonly record: SessionRecord | undefined
  readonly messages: ReadonlyMap<MessageId, MessageDigest>
}

/** Messages that are in memory at a time. */
const PAGE = 64

/** Reads every message and part of the copy. */
export async function digestCopy(sessions: Sessions, copy: SessionCopy): Promise<CopyDigest> {
  const view = viewOf(sessions, copy)
  const plan = unwrap(await planTree(view, { session: copy.entry.key }, false))
  const messages = new Map<MessageId, MessageDigest>()
  for (let at = 0; at < plan.messages.length; at += PAGE) {
    using refs = unwrap(await resolveSessionTree(view, { ...plan, messages: plan.messages.slice(at, at + PAGE) }))
    const nodes = new Map(unwrap(hydrateSessionTree(refs)).messages.map((node) => [node.key.message, node]))
    for (const ref of refs.messages) messages.set(ref.key.message, digestMessage(ref, nodes.get(ref.key.message), copy.store.supports.partLeaves))
  }
  return { record: copy.entry.record, messages }
}

/** The set as if this copy were the one that is shown, and the only one. */
function viewOf(sessions: Sessions, { store, entry }: SessionCopy): Sessions {
  return {
    index: sessions.index,
    stores: [store],
    issues: [],
    narrowed: false,
    stale: false,
    keptIn: undefined,
    cache: sessions.cache,
    clock: sessions.clock,
    slabs: sessions.slabs,
    dirty: sessions.dirty,
    close: async () => {},
    refresh: () => lookAgain(sessions),
    locate: async () => ({ store, entry, record: entry.record, hidden: [] }),
    listMessages: () => store.messages(entry.key),
    [Symbol.asyncDispose]: async () => {},
  }
}

function digestMessage(ref: MessageRefNode, node: MessageNode | undefined, partLeaves: boolean): MessageDigest {
  const message = node?.message
  const given = node?.parts ?? []
  const parts = new Map<PartId, string | undefined>(ref.parts.map(({ key }) => [key.part, undefined]))
  for (const part of given) parts.set(part.id, digest(part))
  const visible = node === undefined || node.damagedParts > 0 || given.some((part) => part.type === 'file') ? undefined : visibleText(given)
  return {
    whole: message && digest(message),
    role: message && roleOf(message, given),
    text: visible === undefined ? undefined : fingerprint(visible),
    isFolded: !partLeaves || given.some(({ id }, at) => id === inlinePartKey(ref.key, at).part),
    parts,
  }
}

function roleOf(message: Message, parts: readonly Part[]): MessageDigest['role'] {
  if (message.role === 'unknown' || parts.some((part) => part.type === 'compaction')) return undefined
  return message.role === 'assistant' && message.summary === true ? undefined : message.role
}

function visibleText(parts: readonly Part[]): string {
  const texts = parts.flatMap((part) => (part.type === 'text' && part.synthetic !== true && part.ignored !== true ? [part.text] : []))
  return texts.join(' ').replace(/\s+/g, ' ').trim()
}

/** Of a record without its ids, whatever the order of its fields. */
function digest({ id: _, ...record }: Message | Part): string {
  const fields = {
    ...record,
    sessionID: undefined,
    messageID: undefined,
    raw: 'raw' in record && { ...record.raw, id: 0, sessionID: 0, messageID: 0 },
  }
  return fingerprint(JSON.stringify(fields, sorted))
}

function sorted(_name: string, value: unknown): unknown {
  return isDocument(value) ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => compareText(a, b))) : value
}
