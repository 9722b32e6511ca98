/** The record of a log's session: put together from what is light in the log, in the shape of any other session's. */
import { type Document, isDocument } from '../../core/documents.js'
import { StorageError } from '../../core/errors.js'
import { isSafeId, type ProjectId, parseSessionId, type SessionId } from '../../core/ids.js'
import type { EntityKey, SessionKey } from '../../core/keys.js'
import type { SessionRecord } from '../../core/records.js'
import { textGeneration } from '../generation.js'
import type { Slab } from '../slab.js'
import { OwnedSpan, parseSpan, parseText, SlabSpan } from '../span.js'
import type { Leaf, Price, SessionEntry } from '../store.js'
import type { LogMeta, LogSession } from './log-adapter.js'
import type { PassedFile } from './log-pass.js'
import { titleOfPrompt } from './prompt-text.js'

/** What was read of a log. */
export interface ReadLog {
  readonly session: LogSession
  readonly meta: LogMeta
  readonly files: readonly Pick<PassedFile, 'loose' | 'written' | 'late'>[]
}

export function recordOf(key: SessionKey, { session, meta, files }: ReadLog, now: number): SessionRecord {
  const { title, prompt, directory, version, model, archived, label, tag } = meta
  const updated = writtenLast(meta, files) ?? now
  const [parent, fork] = [session.parent ?? meta.parent, meta.fork].map((id) => (isSafeId(id) && id !== key.session ? parseSessionId(id) : undefined))
  const shelved = archived ?? (session.archived === true ? updated : undefined)
  const shown = title ?? titleOfPrompt(prompt ?? '')
  return {
    id: key.session,
    projectID: session.project as ProjectId,
    directory: directory ?? '',
    title: shown,
    version: version ?? '',
    ...(parent !== undefined && { parentID: parent }),
    ...(fork !== undefined && { forkSessionID: fork }),
    ...(model !== undefined && { model }),
    ...(label !== undefined && { label }),
    ...(tag !== undefined && { tag }),
    ...(prompt !== undefined && prompt !== shown && { prompt }),
    entries: files.reduce((sum, { loose }) => sum + loose, meta.entries),
    time: { created: meta.created ?? session.created ?? meta.first ?? updated, updated, ...(shelved !== undefined && { archived: shelved }) },
  }
}

/** The newest time that the log tells; of one that tells none, when its files were written to. Undefined where nobody knows. */
function writtenLast({ updated }: LogMeta, files: ReadLog['files']): number | undefined {
  const told = [updated ?? -1, ...files.flatMap(({ late }) => (late ?? []).map(([, time]) => time))]
  const newest = Math.max(...told)
  if (newest >= 0) return newest
  const written = Math.trunc(Math.max(...files.map((file) => file.written)))
  return written > 0 ? written : undefined
}

/** Nobody asks whose the line is. */
export const NOBODY: SessionKey = { kind: 'session', agent: 'pi', session: '' as SessionId }

/** Undefined for what is damaged: that is for whoever reads the line to say. */
export function parsed(bytes: Buffer, start: number, end: number): Document | undefined {
  const document = parseText(bytes.toString('utf8', start, end))
  if (document !== undefined) return isDocument(document) ? document : undefined
  try {
    const value = parseSpan(new OwnedSpan(NOBODY, { path: '' }, undefined, bytes.subarray(start, end)))
    return isDocument(value) ? value : undefined
  } catch (error) {
    if (error instanceof StorageError) return undefined
    throw error
  }
}

export function sessionPrice(entry: SessionEntry | undefined): Price | undefined {
  if (entry?.record === undefined) return undefined
  const text = JSON.stringify(entry.record)
  return { generation: textGeneration(text), bytes: Buffer.byteLength(text), changed: entry.record.time.updated }
}

/** `price`: the version that is asked for; undefined: whatever is there. */
export function sessionLeaf(key: EntityKey, { record, damage, path }: SessionEntry, price: Price | undefined, slab: Slab): Leaf {
  if (record === undefined) return { issue: damage ?? { code: 'UNREADABLE_RECORD', key, path, reason: 'the log could not be read' } }
  const text = JSON.stringify(record)
  const generation = price && textGeneration(text)
  if (generation !== price?.generation) {
    return { issue: { code: 'STALE_SPAN', key, path, reason: 'the log was written to after it was planned', transient: true } }
  }
  const bytes = Buffer.from(text)
  const start = slab.append(bytes)
  return { span: new SlabSpan(key, { path }, generation, slab, start, bytes.length) }
}
