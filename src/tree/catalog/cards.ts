/**
 * What a list shows of a session, as it stands in the catalog: a flat list in JSON, since a nested one takes twice as long to be read, behind
 * its sum, since every column more takes time, too. What is read back is checked twice, by its sum and by its shape.
 */
import { crc32 } from 'node:zlib'
import { isDocument } from '../../core/documents.js'
import { isSafeId, type SessionId } from '../../core/ids.js'
import { type Agent, type SessionKey, sessionKey } from '../../core/keys.js'
import type { SqlValue } from '../../storage/sqlite/driver.js'
import { NO_ORIGINS } from '../sessions/session-meta.js'
import { storeEras } from '../sessions/stores.js'
import type { SessionMeta, SessionOrigin, Usage } from '../types.js'

/** The columns of a card, in the order that `metaIn` takes them. */
export const CARD_COLUMNS = 'id, card'

/** Hexadecimal digits of the CRC-32 of the list. */
const SUM = 8
/** Fields before the stores of hidden copies, each of which takes two. */
const FIELDS = 23

/** Undefined for what would not pass when it is read. `seed`: the sum of the store's name. */
export function cardTextOf(seed: number, meta: SessionMeta): string | undefined {
  const fields = cardOf(meta).map((value) => value ?? null)
  if (metaOfCard(meta.key, meta.source, fields) === undefined) return undefined
  const list = JSON.stringify(fields)
  return crc32(list, seed).toString(16).padStart(SUM, '0') + list
}

/** What is shown of a session, from its columns (`CARD_COLUMNS`); undefined for what does not pass. */
export function metaIn(
  seed: number,
  agent: Agent,
  source: SessionOrigin,
  id: SqlValue | undefined,
  card: SqlValue | undefined,
): SessionMeta | undefined {
  if (!isSafeId(id) || typeof card !== 'string') return undefined
  const list = card.slice(SUM)
  if (crc32(list, seed) !== Number.parseInt(card.slice(0, SUM), 16)) return undefined
  const fields = parse(list)
  return Array.isArray(fields) ? metaOfCard(sessionKey(agent, id as SessionId), source, fields) : undefined
}

function cardOf({ id, title, directory, project, parent, created, updated, ...rest }: SessionMeta): readonly unknown[] {
  const { archived, revert, version, model, usage, damaged, hides, entries, label, tag, prompt } = rest
  const head = [id, title, directory, project, parent, created, updated, archived, revert, version, ...modelFields(model)]
  return [...head, damaged, entries, label, tag, prompt, ...usageFields(usage), ...hides.flatMap(({ kind, path }) => [kind, path])]
}

function metaOfCard(key: SessionKey, source: SessionOrigin, fields: readonly unknown[]): SessionMeta | undefined {
  if (fields.length < FIELDS || fields[0] !== key.session) return undefined
  const title = fields[1]
  const directory = fields[2]
  const project = fields[3]
  const parent = fields[4]
  const created = fields[5]
  const updated = fields[6]
  const archived = fields[7]
  const revert = fields[8]
  const version = fields[9]
  const damaged = fields[12]
  const entries = fields[13]
  const label = fields[14]
  const tag = fields[15]
  const prompt = fields[16]
  if (typeof title !== 'string' || typeof directory !== 'string' || typeof project !== 'string' || typeof version !== 'string') return undefined
  if (!isNumber(created) || !isNumber(updated) || typeof damaged !== 'boolean') return undefined
  if (!isIdOrNull(parent) || !isTextOrNull(revert) || !isNumberOrNull(archived) || !isNumberOrNull(entries)) return undefined
  if (!isTextOrNull(label) || !isTextOrNull(tag) || !isTextOrNull(prompt)) return undefined
  const model = modelIn(fields[10], fields[11])
  const usage = fields[17] === null ? null : usageIn(fields)
  const hides = fields.length === FIELDS ? NO_ORIGINS : originsIn(fields)
  if (model === undefined || usage === undefined || hides === undefined) return undefined
  const meta: { -readonly [Name in keyof SessionMeta]: SessionMeta[Name] } = {
    key: Object.freeze(key),
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
    usage: usage ?? undefined,
    damaged,
    source,
    hides,
  }
  if (entries !== null) meta.entries = entries
  if (label !== null) meta.label = label
  if (tag !== null) meta.tag = tag
  if (prompt !== null) meta.prompt = prompt
  return Object.freeze(meta)
}

type Model = NonNullable<SessionMeta['model']>

/** Nearly always two texts; what has more to it stands as it is. */
function modelFields(model: unknown): readonly [unknown, unknown] {
  const isPlain = isDocument(model) && Object.keys(model).length === 2 && typeof model.id === 'string' && typeof model.providerID === 'string'
  return isPlain ? [model.id, model.providerID] : [model, null]
}

/** Undefined for what is none. */
function modelIn(id: unknown, providerID: unknown): Model | null | undefined {
  if (typeof id === 'string' && typeof providerID === 'string') return { id, providerID }
  if (providerID !== null) return undefined
  if (id === null) return null
  return isDocument(id) && typeof id.id === 'string' && typeof id.providerID === 'string' ? (id as unknown as Model) : undefined
}

function usageFields(usage: Usage | undefined): readonly (number | null)[] {
  if (usage === undefined) return [null, null, null, null, null, null]
  const { input, output, reasoning, cache } = usage.tokens
  return [usage.cost, input, output, reasoning, cache.read, cache.write]
}

function usageIn(fields: readonly unknown[]): Usage | undefined {
  const cost = fields[17]
  const input = fields[18]
  const output = fields[19]
  const reasoning = fields[20]
  const read = fields[21]
  const write = fields[22]
  if (!isNumber(cost) || !isNumber(input) || !isNumber(output) || !isNumber(reasoning) || !isNumber(read) || !isNumber(write)) return undefined
  return { cost, tokens: { input, output, reasoning, cache: { read, write } } }
}

function originsIn(fields: readonly unknown[]): readonly SessionOrigin[] | undefined {
  const origins: SessionOrigin[] = []
  for (let at = FIELDS; at < fields.length; at += 2) {
    const [kind, path] = [fields[at], fields[at + 1]]
    if (typeof kind !== 'string' || !Object.hasOwn(storeEras, kind) || typeof path !== 'string') return undefined
    origins.push({ kind: kind as SessionOrigin['kind'], path })
  }
  return Object.freeze(origins)
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function isTextOrNull(value: unknown): value is string | null {
  return value === null || typeof value === 'string'
}

/** JSON has no form for others. */
function isNumber(value: unknown): value is number {
  return Number.isFinite(value)
}

function isNumberOrNull(value: unknown): value is number | null {
  return value === null || isNumber(value)
}

function isIdOrNull(value: unknown): value is string | null {
  return value === null || isSafeId(value)
}
