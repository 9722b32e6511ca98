/** Transition T12 over rows in memory: one space is searched, another may be built beside it, those of before retire. */
import { StorageError } from '../../../core/errors.js'
import type { MessageId } from '../../../core/ids.js'
import type { SessionKey } from '../../../core/keys.js'
import { spaceIdOf } from '../../space.js'
import type { IndexIdentity, SpaceRow } from '../rows.js'
import { dropLetters } from './dead.js'
import { verify } from './leases.js'
import type { Moment } from './queue.js'
import { buildOf, hasLedger, type MemoryLedgerRow, type MemoryRows, putLedger } from './rows.js'

const ORDER = ['live', 'building', 'retiring'] as const

export function inOrder(spaces: readonly SpaceRow[]): SpaceRow[] {
  return spaces.toSorted((a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state) || a.createdAt - b.createdAt)
}

export function bind(rows: MemoryRows, { space, namespace }: IndexIdentity, rebuild: boolean, moment: Moment): SpaceRow {
  rows.namespace ??= namespace
  if (rows.namespace !== namespace) {
    throw new StorageError('INVALID_OPTION', { reason: `the index was built with the namespace "${rows.namespace}", not with "${namespace}"` })
  }
  const live = rows.spaces.find(({ state }) => state === 'live')
  const held = rows.spaces.find((row) => row.space === space)
  if (held !== undefined && (held.state === 'building' || (held.state === 'live' && !rebuild))) return held
  if (live !== undefined && held !== live && !rebuild) {
    throw new StorageError('SINK_MISMATCH', { reason: `the index was built with the embedder "${live.space}", not with "${space}"` })
  }
  setState(rows, 'building', 'retiring')
  if (held === live && live !== undefined) return live
  const id = spaceIdOf(space)
  const row: SpaceRow = held ?? { id, space, state: 'live', createdAt: moment.now }
  const bound: SpaceRow = { ...row, state: live === undefined ? 'live' : 'building' }
  rows.spaces = [...rows.spaces.filter((other) => other.id !== id), bound]
  rows.builds.set(id, ++rows.seq)
  // Documents of it may be on their way out.
  if (held !== undefined) verify(rows, undefined, moment)
  return bound
}

function setState(rows: MemoryRows, from: SpaceRow['state'], to: SpaceRow['state']): void {
  rows.spaces = rows.spaces.map((row) => (row.state === from ? { ...row, state: to } : row))
}

/** Sessions that the space that is being built still lacks. */
export function toRebuild(rows: MemoryRows): number {
  if (!rows.spaces.some(({ state }) => state === 'building')) return 0
  return [...rows.sessions.values()].filter(({ gone, builtIn }) => !gone && builtIn !== buildOf(rows)).length
}

export function cutOver(rows: MemoryRows): SpaceRow | undefined {
  const building = rows.spaces.find(({ state }) => state === 'building')
  if (building === undefined || toRebuild(rows) > 0) return undefined
  setState(rows, 'live', 'retiring')
  setState(rows, 'building', 'live')
  return { ...building, state: 'live' }
}

export function retiring({ spaces, ledger }: MemoryRows, space: string, limit: number): MemoryLedgerRow[] {
  if (!spaces.some(({ id, state }) => id === space && state === 'retiring')) return []
  return [...ledger.values()].filter((entry) => entry.space === space).slice(0, limit)
}

export function retire(
  rows: MemoryRows,
  space: string,
  gone: readonly { readonly key: SessionKey; readonly message: MessageId }[],
  moment: Moment,
): void {
  const keys = gone.map(({ key }) => key)
  if (rows.spaces.some(({ id, state }) => id === space && state === 'building')) verify(rows, keys, moment)
  if (!rows.spaces.some(({ id, state }) => id === space && state === 'retiring')) return
  for (const { key, message } of gone) {
    putLedger(rows, space, key, message, undefined)
    if (!hasLedger(rows, key, message)) dropLetters(rows, key, message)
  }
  if (![...rows.ledger.values()].some((entry) => entry.space === space)) rows.spaces = rows.spaces.filter(({ id }) => id !== space)
}
