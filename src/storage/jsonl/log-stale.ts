/** Leaves of a log that are not what was asked for any more. */
import type { EntityKey } from '../../core/keys.js'
import { absent } from '../files/file-issues.js'
import type { Leaf, Read } from '../store.js'
import { lineGeneration } from './line-names.js'
import type { LineRead } from './log-leaves.js'

export function isStale({ issue }: Leaf): boolean {
  return issue?.code === 'STALE_SPAN'
}

/** The generation that was asked for must be the line's. */
export function current(leaf: Leaf, { key, line, generation }: LineRead): Leaf {
  if (leaf.span === undefined || generation === undefined || generation === lineGeneration(line)) return leaf
  return { issue: stale(key, leaf.span.source.path) }
}

function stale(key: EntityKey, path: string): NonNullable<Leaf['issue']> {
  return { code: 'STALE_SPAN', key, path, reason: 'the log was rewritten after it was planned', transient: true }
}

export function gone(key: EntityKey, path: string, kind: Read['kind']): NonNullable<Leaf['issue']> {
  if (kind === 'todo' || kind === 'diff') return absent(key, path)
  return { code: 'STALE_SPAN', key, path, reason: 'the log does not have it any more', transient: true }
}
