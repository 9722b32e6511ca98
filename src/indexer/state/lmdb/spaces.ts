/** Transition T12: one space is searched, another may be built beside it, those of before retire. */

import { StorageError } from '../../../core/errors.js'
import type { MessageId } from '../../../core/ids.js'
import type { SessionKey } from '../../../core/keys.js'
import { spaceIdOf } from '../../space.js'
import type { IndexIdentity, SpaceRow } from '../rows.js'
import { dropLetters } from './dead.js'
import { verifySession } from './leases.js'
import { forgetSums, hasLedger, isEmptyUnder, putLedger } from './ledger.js'
import type { Moment } from './queue.js'
import { buildOf, readSession, readSpaces, type StoredSpace, spaceIn } from './rows.js'
import { nextNumber, read, readNumber, type StateTables } from './tables.js'

const ORDER = ['live', 'building', 'retiring'] as const

export function spacesInOrder(t: StateTables): SpaceRow[] {
  return readSpaces(t)
    .map(shown)
    .sort((a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state) || a.createdAt - b.createdAt)
}

function shown({ id, space, state, createdAt }: SpaceRow): SpaceRow {
  return { id, space, state, createdAt }
}

export function readIdentity(t: StateTables): IndexIdentity | undefined {
  const live = spaceIn(t, 'live')
  if (live === undefined) return undefined
  const namespace = read(t.meta, 'namespace')
  if (typeof namespace === 'string') return { space: live.space, namespace }
  throw new StorageError('STATE_DAMAGED', { reason: 'the index state does not say what it was built with' })
}

/** Whether binding takes a space back whose documents may be on their way out. */
export function takesBack(t: StateTables, { space }: IndexIdentity): boolean {
  return readSpaces(t).some((row) => row.space === space && row.state === 'retiring')
}

/** @throws StorageError SINK_MISMATCH, INVALID_OPTION */
export function bindSpace(t: StateTables, { space, namespace }: IndexIdentity, rebuild: boolean, { now }: Moment): SpaceRow {
  checkNamespace(t, namespace)
  const spaces = readSpaces(t)
  const live = spaces.find(({ state }) => state === 'live')
  const held = spaces.find((row) => row.space === space)
  if (held !== undefined && (held.state === 'building' || (held.state === 'live' && !rebuild))) return shown(held)
  if (live !== undefined && held !== live && !rebuild) {
    throw new StorageError('SINK_MISMATCH', { reason: `the index was built with the embedder "${live.space}", not with "${space}"` })
  }
  const others = spaces.filter((row) => row !== held).map((row): StoredSpace => (row.state === 'building' ? { ...row, state: 'retiring' } : row))
  t.meta.putSync('namespace', namespace)
  const isLive = live === undefined || held === live
  const build = held !== undefined && isLive ? held.build : nextNumber(t, 'seq')
  const bound: StoredSpace = { id: spaceIdOf(space), space, state: isLive ? 'live' : 'building', createdAt: held?.createdAt ?? now, build }
  t.meta.putSync('spaces', [...others, bound])
  return shown(bound)
}

function checkNamespace(t: StateTables, namespace: string): void {
  const held = read(t.meta, 'namespace')
  if (held === undefined || held === namespace) return
  throw new StorageError('INVALID_OPTION', { reason: `the index was built with the namespace "${held}", not with "${namespace}"` })
}

/** Sessions that the space that is being built still lacks. */
export function toRebuild(t: StateTables): number {
  const building = spaceIn(t, 'building')
  return building === undefined ? 0 : readNumber(t, 'present') - readNumber(t, `in:${buildOf(building)}`)
}

export function cutOverSpace(t: StateTables): SpaceRow | undefined {
  const building = spaceIn(t, 'building')
  if (building === undefined || toRebuild(t) > 0) return undefined
  const next = { live: 'retiring', building: 'live', retiring: 'retiring' } as const
  t.meta.putSync(
    'spaces',
    readSpaces(t).map((row): StoredSpace => ({ ...row, state: next[row.state] })),
  )
  return shown({ ...building, state: 'live' })
}

/** The space goes with its last row. In one that was taken back meanwhile, the sessions are to find out what they have lost. */
export function retireRows(
  t: StateTables,
  space: string,
  gone: readonly { readonly key: SessionKey; readonly message: MessageId }[],
  moment: Moment,
): void {
  const held = readSpaces(t).find(({ id }) => id === space)
  if (held === undefined) return
  if (held.state === 'building') {
    for (const { key } of gone) {
      const row = readSession(t, key)
      if (row !== undefined) verifySession(t, key, row, moment)
    }
  }
  if (held.state !== 'retiring') return
  for (const { key, message } of gone) {
    putLedger(t, space, key, message, undefined, 0)
    if (!hasLedger(t, key, message)) dropLetters(t, key, message)
  }
  if (!isEmptyUnder(t, [space])) return
  t.meta.putSync(
    'spaces',
    readSpaces(t).filter(({ id }) => id !== space),
  )
  forgetSums(t, space)
}
