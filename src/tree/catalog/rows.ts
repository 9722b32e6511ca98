/**
 * How a session stands in the catalog: what a listing gave (the entry), and what is shown of it (the card).
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
import { storeEras } from '../sessions/stores.js'
import type { SessionMeta, SessionOrigin, Usage } from '../types.js'

/** The columns that the sums of a row are made of. */
export interface RowTexts {
  readonly crc: number
  readonly card: string
  readonly cardCrc: number
  readonly entry: readonly [path: string, project: string, generation: string, version: string | null, record: string | null, damage: string | null]
}

/** The columns of an entry, in the order that `entryOf` takes them. */
export const ENTRY_COLUMNS = 'id, path, project, generation, version, record, damage, crc'
/** The columns of a card, in the order that `metaIn` takes them. */
export const CARD_COLUMNS = 'id, card, card_crc'

/** Undefined for what would not pass when it is read, as a time without end, which JSON has no form for, or half a character: such a session is never in the catalog. */
export function textsOf(store: string, entry: SessionEntry, meta: SessionMeta): RowTexts | undefined {
  const { key, path, project, generation, version = null, record, damage } = entry
  if (![meta.updated, meta.created, meta.archived ?? 0].every(Number.isFinite)) return undefined
  const fields = cardOf(meta)
  if (metaOfCard(key, meta.source, fields) === undefined || (record !== undefined && !isRecord(record, key.session))) return undefined
  const texts = [path, project, generation, version, jsonOf(record), jsonOf(damage)] as const
  if (!texts.every((text) => text === null || text.isWellFormed())) return undefined
  const card = JSON.stringify(fields)
  return { crc: sumOf(store, key.session, texts), card, cardCrc: crc32(card, seedOf(store)), entry: texts }
}

/** The columns from `cwd` to `entry_count`, in the order of the schema. */
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
  return [...row, count].map((value) => value ?? null)
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

/** What is shown of a session, from its columns (`CARD_COLUMNS`). */
export function metaIn(store: string, agent: Agent, source: SessionOrigin, row: SqlRow): SessionMeta | undefined {
  const [id, card, crc] = row
  if (!isSafeId(id) || typeof card !== 'string' || crc32(card, seedOf(store)) !== crc) return undefined
  const fields = parse(card)
  return Array.isArray(fields) ? metaOfCard(sessionKey(agent, id as SessionId), source, fields) : undefined
}

const FIELDS = 17

function cardOf({ id, title, directory, project, parent, created, updated, ...rest }: SessionMeta): readonly unknown[] {
  const { archived, revert, version, model, usage, damaged, hides, entries, label, tag } = rest
  const origins = hides.length === 0 ? null : hides.map(({ kind, path }) => [kind, path])
  const sums = usage && flatUsage(usage)
  const fields = [
    id,
    title,
    directory,
    project,
    parent,
    created,
    updated,
    archived,
    revert,
    version,
    model,
    sums,
    damaged,
    origins,
    entries,
    label,
    tag,
  ]
  return fields.map((value) => value ?? null)
}

function metaOfCard(key: SessionKey, source: SessionOrigin, fields: readonly unknown[]): SessionMeta | undefined {
  const [id, title, directory, project, parent, created, updated, archived, revert, version, model, usage, damaged, hides, entries, label, tag] =
    fields
  if (fields.length !== FIELDS || id !== key.session) return undefined
  const areTexts = typeof title === 'string' && typeof directory === 'string' && typeof project === 'string' && typeof version === 'string'
  if (!areTexts || typeof created !== 'number' || typeof updated !== 'number' || typeof damaged !== 'boolean') return undefined
  if (!isIdOrNull(parent) || !isTextOrNull(revert) || !isNumberOrNull(archived) || !isNumberOrNull(entries)) return undefined
  if (!isTextOrNull(label) || !isTextOrNull(tag) || !isModel(model)) return undefined
  const origins = originsIn(hides)
  const sums = usage === null ? null : usageOf(usage)
  if (origins === undefined || sums === undefined) return undefined
  return {
    key,
    id: key.session,
    title,
    directory,
    project,
    parent: (parent ?? undefined) as SessionMeta['parent'],
    created,
    updated,
    archived: archived ?? undefined,
    revert: (revert ?? undefined) as SessionMeta['revert'],
    version,
    model: model ?? undefined,
    usage: sums ?? undefined,
    damaged,
    ...(entries !== null && { entries }),
    ...(label !== null && { label }),
    ...(tag !== null && { tag }),
    source,
    hides: origins,
  }
}

const NO_ORIGINS: readonly SessionOrigin[] = []

function originsIn(list: unknown): readonly SessionOrigin[] | undefined {
  if (list === null) return NO_ORIGINS
  if (!Array.isArray(list)) return undefined
  const origins: SessionOrigin[] = []
  for (const origin of list) {
    const [kind, path] = Array.isArray(origin) ? origin : []
    if (typeof kind !== 'string' || !Object.hasOwn(storeEras, kind) || typeof path !== 'string') return undefined
    origins.push({ kind: kind as SessionOrigin['kind'], path })
  }
  return origins
}

function isModel(value: unknown): value is SessionMeta['model'] | null {
  return value === null || (isDocument(value) && typeof value.id === 'string' && typeof value.providerID === 'string')
}

function flatUsage({ cost, tokens: { input, output, reasoning, cache } }: Usage): readonly number[] {
  return [cost, input, output, reasoning, cache.read, cache.write]
}

function usageOf(sums: unknown): Usage | undefined {
  if (!Array.isArray(sums) || sums.length !== 6 || !sums.every((sum) => typeof sum === 'number')) return undefined
  const [cost, input, output, reasoning, read, write] = sums as [number, number, number, number, number, number]
  return { cost, tokens: { input, output, reasoning, cache: { read, write } } }
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
function seedOf(store: string): number {
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

function isNumberOrNull(value: unknown): value is number | null {
  return value === null || typeof value === 'number'
}

function isIdOrNull(value: unknown): value is string | null {
  return value === null || isSafeId(value)
}

function isFiniteNumber(value: unknown): boolean {
  return Number.isFinite(value)
}
