/** The sessions of an index in the orders that it is asked for; what did not change is not sorted again. */
import { groupBy } from '../../core/collections.js'
import type { SessionId } from '../../core/ids.js'
import type { SessionMeta } from '../types.js'

type Compare = (a: SessionMeta, b: SessionMeta) => number

const byTime: Compare = (a, b) => b.updated - a.updated || (a.id < b.id ? -1 : 1)
const byAge: Compare = (a, b) => a.created - b.created || (a.id < b.id ? -1 : 1)

export class SessionOrder {
  #byTime: readonly SessionMeta[] = []
  readonly #byId = new Map<SessionId, readonly SessionMeta[]>()
  readonly #children = new Map<SessionId, readonly SessionMeta[]>()

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

  replace(gone: ReadonlySet<SessionMeta>, fresh: readonly SessionMeta[]): void {
    this.#byTime = patched(this.#byTime, gone, [...fresh].sort(byTime), byTime)
    patchGroups(this.#byId, gone, fresh, ({ id }) => id, byTime)
    patchGroups(this.#children, gone, fresh, ({ parent }) => parent, byAge)
  }
}

function patchGroups(
  groups: Map<SessionId, readonly SessionMeta[]>,
  gone: ReadonlySet<SessionMeta>,
  fresh: readonly SessionMeta[],
  keyOf: (meta: SessionMeta) => SessionId | undefined,
  compare: Compare,
): void {
  const added = groupBy(fresh, keyOf)
  for (const key of new Set([...[...gone].map(keyOf), ...added.keys()])) {
    if (key === undefined) continue
    const group = patched(groups.get(key) ?? [], gone, (added.get(key) ?? []).sort(compare), compare)
    if (group.length === 0) groups.delete(key)
    else groups.set(key, group)
  }
}

/** Both are in order, and so is what comes of them. */
function patched(
  before: readonly SessionMeta[],
  gone: ReadonlySet<SessionMeta>,
  fresh: readonly SessionMeta[],
  compare: Compare,
): readonly SessionMeta[] {
  const merged: SessionMeta[] = []
  let next = 0
  for (const meta of before) {
    if (gone.has(meta)) continue
    for (let one = fresh[next]; one !== undefined && compare(one, meta) < 0; one = fresh[++next]) merged.push(one)
    merged.push(meta)
  }
  for (const one of fresh.slice(next)) merged.push(one)
  return merged
}
