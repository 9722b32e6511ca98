/** The record of a log's session: put together from what is light in the log, in the shape of any other session's. */
import type { EntityKey } from '../../core/keys.js'
import { textGeneration } from '../generation.js'
import type { Slab } from '../slab.js'
import { SlabSpan } from '../span.js'
import type { Leaf, Price, SessionEntry } from '../store.js'

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
