/** The sessions of an index in the orders that it is asked for; what did not change is not sorted again. */
import { compareText, type SessionId } from '../../core/ids.js'
import { inTurns, type Turns } from '../../storage/turns.js'
import type { SessionMeta } from '../types.js'

type Compare = (a: SessionMeta, b: SessionMeta) => number
type Groups = Map<SessionId, readonly SessionMeta[]>

/** As pages go: equal ones by id, then agent. */
const byTime: Compare = (a, b) => b.updated - a.updated || compareText(a.id, b.id) || compareText(a.key.agent, b.key.agent)
export const byAge: Compare = (a, b) => a.created - b.created || (a.id < b.id ? -1 : 1)

const NONE: ReadonlySet<SessionMeta> = new Set()
/** Sessions that are sorted in one go. */
const RUN = 512

/** The orders to come. Of the groups those that differ; an empty one is gone. */
export interface NextOrder {
  readonly byTime: readonly SessionMeta[]
  readonly byId: Groups
  readonly children: Groups
}

export class SessionOrder {
  #byTime: readonly SessionMeta[] = Object.freeze([])
  #byId: Groups = new Map()
  #children: Groups = new Map()

  /** The one updated last first. */
  get byTime(): readonly SessionMeta[] {
    return this.#byTime
  }

  /** Several where agents share an id. */
  withId(id: SessionId): readonly SessionMeta[] {
    return this.#byId.get(id) ?? []
  }

  /** The oldest one first. */
  childrenOf(parent: SessionId): readonly SessionMeta[] {
    return this.#children.get(parent) ?? []
  }

  /** Nothing shows of it before it is taken, and nothing else may be taken meanwhile. */
  async next(gone: ReadonlySet<SessionMeta>, fresh: readonly SessionMeta[], turns: Turns): Promise<NextOrder> {
    return {
      byTime: await patched(this.#byTime, gone, await sorted(fresh, byTime, turns), byTime, turns),
      byId: await changedGroups(this.#byId, gone, fresh, { keyOf: ({ id }) => id, compare: byTime }, turns),
      children: await changedGroups(this.#children, gone, fresh, { keyOf: ({ parent }) => parent, compare: byAge }, turns),
    }
  }

  take({ byTime, byId, children }: NextOrder): void {
    this.#byTime = Object.freeze(byTime)
    this.#byId = laidOver(this.#byId, byId)
    this.#children = laidOver(this.#children, children)
  }
}

function laidOver(groups: Groups, next: Groups): Groups {
  if (groups.size === 0) return next
  for (const [key, group] of next) {
    if (group.length === 0) groups.delete(key)
    else groups.set(key, group)
  }
  return groups
}

async function changedGroups(
  groups: Groups,
  gone: ReadonlySet<SessionMeta>,
  fresh: readonly SessionMeta[],
  { keyOf, compare }: { readonly keyOf: (meta: SessionMeta) => SessionId | undefined; readonly compare: Compare },
  turns: Turns,
): Promise<Groups> {
  const changed = new Map<SessionId, SessionMeta[]>()
  const groupOf = (meta: SessionMeta): SessionMeta[] => {
    const key = keyOf(meta)
    if (key === undefined) return []
    const group = changed.get(key) ?? (groups.get(key) ?? []).filter((one) => !gone.has(one))
    changed.set(key, group)
    return group
  }
  await inTurns(gone, turns, groupOf)
  await inTurns(fresh, turns, (meta) => groupOf(meta).push(meta))
  await inTurns(changed.values(), turns, (group) => group.sort(compare))
  return changed
}

/** Sorted runs, then ever longer ones of two each. */
async function sorted(metas: readonly SessionMeta[], compare: Compare, turns: Turns): Promise<readonly SessionMeta[]> {
  let runs: (readonly SessionMeta[])[] = []
  for (let from = 0; from < metas.length; from += RUN) {
    runs.push(metas.slice(from, from + RUN).sort(compare))
    if (turns.isDue()) await turns.take()
  }
  while (runs.length > 1) {
    const longer: (readonly SessionMeta[])[] = []
    for (let at = 0; at < runs.length; at += 2) longer.push(await patched(runs[at] ?? [], NONE, runs[at + 1] ?? [], compare, turns))
    runs = longer
  }
  return runs[0] ?? []
}

/** Both are in order, and so is what comes of them. */
async function patched(
  before: readonly SessionMeta[],
  gone: ReadonlySet<SessionMeta>,
  fresh: readonly SessionMeta[],
  compare: Compare,
  turns: Turns,
): Promise<readonly SessionMeta[]> {
  const merged: SessionMeta[] = []
  let next = 0
  await inTurns(before, turns, (meta) => {
    if (gone.has(meta)) return
    for (let one = fresh[next]; one !== undefined && compare(one, meta) < 0; one = fresh[++next]) merged.push(one)
    merged.push(meta)
  })
  for (const one of fresh.slice(next)) merged.push(one)
  return merged
}
