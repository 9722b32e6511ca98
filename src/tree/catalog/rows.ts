/**
 * How a session stands in the catalog: what a listing gave (the entry), and the columns that lists are sorted and narrowed by. What is shown
 * of it is its card (`cards.ts`).
 * What is read back is checked twice, by its sum and by its shape; what does not pass is undefined, and its session read again.
 */
import { crc32 } from 'node:zlib'
import { isDocument } from '../../core/documents.js'
import { folderName } from '../../core/folders.js'
import { isSafeId, type SessionId } from '../../core/ids.js'
import { type Agent, type SessionKey, sessionKey } from '../../core/keys.js'
import type { SessionRecord } from '../../core/records.js'
import type { StageIssue } from '../../core/stage.js'
import type { Generation } from '../../storage/generation.js'
import type { SqlRow, SqlValue } from '../../storage/sqlite/driver.js'
import type { SessionEntry } from '../../storage/store.js'
import { nameOrder } from '../sessions/session-page.js'
import type { SessionMeta } from '../types.js'
import { cardTextOf } from './cards.js'

/** The columns that the sums of a row are made of. */
export interface RowTexts {
  readonly crc: number
  readonly card: string
  readonly entry: readonly [path: string, project: string, generation: string, version: string | null, record: string | null, damage: string | null]
}

/** Of a row and its entry, in the order that `entryIn` takes them. */
export const ENTRY_COLUMNS = 'id, path, project, generation, version, record, damage, crc'

export const ENTRY_ROWS = 'sessions LEFT JOIN entries USING (row)'

/** Undefined for what would not pass when it is read, as a time without end, which JSON has no form for, or half a character: such a session is never in the catalog. */
export function textsOf(store: string, entry: SessionEntry, meta: SessionMeta): RowTexts | undefined {
  const { key, path, project, generation, version = null, record, damage } = entry
  if (record !== undefined && !isRecord(record, key.session)) return undefined
  const texts = [path, project, generation, version, jsonOf(record), jsonOf(damage)] as const
  if (!texts.every((text) => text === null || text.isWellFormed())) return undefined
  const card = cardTextOf(seedOf(store), meta)
  return card === undefined ? undefined : { crc: sumOf(store, key.session, texts), card, entry: texts }
}

/** The columns from `cwd` to `entry_count`, in the order of the schema. Half a character is what SQLite would make of it, on every driver. */
export function columnsOf({ directory, parent, archived, updated, created, title, tag, label, model, entries }: SessionMeta): readonly SqlValue[] {
  const row = [
    folderName(directory),
    parent,
    archived,
    updated,
    created,
    title,
    nameOrder(title),
    tag,
    label,
    model && `${model.providerID}/${model.id}`,
  ]
  const count = Number.isSafeInteger(entries) ? entries : undefined
  return [...row, count].map((value) => (typeof value === 'string' ? value.toWellFormed() : (value ?? null)))
}

/** An entry from its columns (`ENTRY_COLUMNS`). */
export function entryIn(store: string, agent: Agent, row: SqlRow): { readonly entry: SessionEntry; readonly crc: number } | undefined {
  const [id, path, project, generation, version, record, damage, crc] = row
  if (!isSafeId(id) || typeof path !== 'string' || typeof project !== 'string' || typeof generation !== 'string') return undefined
  if (!isTextOrNull(version) || !isTextOrNull(record) || !isTextOrNull(damage)) return undefined
  if (typeof crc !== 'number' || sumOf(store, id, [path, project, generation, version, record, damage]) !== crc) return undefined
  const key = sessionKey(agent, id as SessionId)
  const own = record === null ? undefined : recordIn(record, id)
  const issue = damage === null ? undefined : issueIn(damage, key)
  if ((own === undefined && record !== null) || (issue === undefined && damage !== null)) return undefined
  const fields = { ...(issue !== undefined && { damage: issue }), ...(version !== null && { version }) }
  return { entry: { key, project, record: own, path, generation: generation as Generation, ...fields }, crc }
}

function recordIn(text: string, id: string): SessionRecord | undefined {
  const record = parse(text)
  return isRecord(record, id) ? record : undefined
}

/** What `toSession` makes sure of. */
function isRecord(record: unknown, id: string): record is SessionRecord {
  if (!isDocument(record) || record.id !== id || !isDocument(record.time)) return false
  const { projectID, directory, title, version, parentID, time } = record
  const areTexts = [projectID, directory, title, version].every((value) => typeof value === 'string')
  return areTexts && isFiniteNumber(time.created) && isFiniteNumber(time.updated) && isIdOrNull(parentID ?? null)
}

function issueIn(text: string, key: SessionKey): StageIssue | undefined {
  const issue = parse(text)
  if (!isDocument(issue) || typeof issue.code !== 'string' || typeof issue.reason !== 'string') return undefined
  return { ...issue, key } as unknown as StageIssue
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function jsonOf(value: object | undefined): string | null {
  return value === undefined ? null : JSON.stringify(value)
}

/** A row of another store has other sums. */
export function seedOf(store: string): number {
  const held = seeds.get(store) ?? crc32(store)
  seeds.set(store, held)
  return held
}

const seeds = new Map<string, number>()

function sumOf(store: string, id: string, texts: readonly (string | null)[]): number {
  return crc32([id, ...texts.map((text) => (text === null ? '' : `\u0001${text}`))].join('\0'), seedOf(store))
}

function isTextOrNull(value: unknown): value is string | null {
  return value === null || typeof value === 'string'
}

function isIdOrNull(value: unknown): value is string | null {
  return value === null || isSafeId(value)
}

function isFiniteNumber(value: unknown): boolean {
  return Number.isFinite(value)
}
