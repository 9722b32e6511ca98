/** The light metadata of a session, as lists show it. */
import { idTime } from '../../core/ids.js'
import type { SessionRecord } from '../../core/records.js'
import type { SessionEntry } from '../../storage/store.js'
import type { SessionMeta, SessionOrigin, Usage } from '../types.js'
import { usageIn } from '../usage.js'

/** Of a session, or of what stands for one: the store that it is read from and those with other copies count by their names alone. */
export interface MetaSource {
  readonly entry: SessionEntry
  readonly store: SessionOrigin
  readonly record: SessionRecord | undefined
  readonly hidden: readonly { readonly store: SessionOrigin }[]
}

/** Frozen: it is shown to whoever asks, for as long as it is listed. */
export function metaOf({ entry, store, record, hidden }: MetaSource, now: number): SessionMeta {
  const { key } = entry
  const made = record?.time.created || (idTime(key.session, now) ?? 0)
  return Object.freeze({
    key: Object.freeze(key),
    id: key.session,
    title: record?.title ?? '',
    directory: record?.directory ?? '',
    project: record?.projectID ?? entry.project,
    parent: record?.parentID ?? undefined,
    created: made,
    updated: record?.time.updated || made,
    archived: record?.time.archived,
    revert: record?.revert?.messageID,
    version: record?.version ?? '',
    model: record?.model,
    usage: record && recordedUsage(record),
    damaged: entry.record === undefined,
    ...(record?.entries !== undefined && { entries: record.entries }),
    ...(record?.label !== undefined && { label: record.label }),
    ...(record?.tag !== undefined && { tag: record.tag }),
    ...(record?.prompt !== undefined && { prompt: record.prompt }),
    source: originOf(store),
    hides: hidden.length === 0 ? NO_ORIGINS : Object.freeze(hidden.map((copy) => originOf(copy.store))),
  })
}

export const NO_ORIGINS: readonly SessionOrigin[] = Object.freeze([])

const origins = new WeakMap<SessionOrigin, SessionOrigin>()

function originOf(store: SessionOrigin): SessionOrigin {
  const held = origins.get(store) ?? Object.freeze({ kind: store.kind, path: store.path })
  origins.set(store, held)
  return held
}

/** The running sums of the record; zeros mean that nobody added up. */
function recordedUsage(record: SessionRecord): Usage | undefined {
  const usage = usageIn(record)
  const { input, output, reasoning, cache } = usage.tokens
  return usage.cost + input + output + reasoning + cache.read + cache.write > 0 ? usage : undefined
}
