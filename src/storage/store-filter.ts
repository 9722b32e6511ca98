/** Which of the stores that are found are read: all, or those of the kinds and at the paths that the caller names. */
import { resolve, sep } from 'node:path'
import type { StageIssue } from '../core/stage.js'
import { identityOf, type StorePlace } from './paths.js'
import type { StoreKind } from './store.js'

/** The kinds that are found on disk. */
export const STORE_KINDS = [
  'opencode-v2',
  'opencode-sqlite',
  'opencode-json',
  'opencode-era-a',
  'pi-jsonl',
  'claude-jsonl',
  'codex-jsonl',
  'jcode-journal',
] as const satisfies readonly StoreKind[]

export class StoreFilter {
  readonly #kinds: ReadonlySet<string>
  readonly #paths: readonly { readonly name: string; readonly path: string }[]

  /** Kinds, and paths of stores; none: every store is wanted. */
  constructor(names: readonly string[] = []) {
    this.#kinds = new Set<string>(STORE_KINDS.filter((kind) => names.includes(kind)))
    this.#paths = names.filter((name) => !this.#kinds.has(name)).map((name) => ({ name, path: resolve(name) }))
  }

  get narrows(): boolean {
    return this.#kinds.size + this.#paths.length > 0
  }

  /** A database may hold stores of two kinds, which only opening it tells. */
  wantsPlace(place: StorePlace): boolean {
    return this.wants(place.kind, place.path) || (place.kind === 'opencode-sqlite' && this.#kinds.has('opencode-v2'))
  }

  wants(kind: StoreKind, path: string): boolean {
    if (!this.narrows) return true
    return this.#kinds.has(kind) || this.#paths.some((wanted) => isSame(wanted.path, path))
  }

  /** What cannot be looked into may hold a store of any kind; one that is named by its path stands in it or does not. */
  wantsIssue({ path }: StageIssue): boolean {
    if (this.#paths.length === 0 || this.#kinds.size > 0 || path === undefined) return true
    return this.#paths.some((wanted) => wanted.path === path || wanted.path.startsWith(path + sep))
  }

  /** The first of the names that is neither a kind nor the path of one of these. */
  strangerTo(places: readonly StorePlace[]): string | undefined {
    return this.#paths.find((wanted) => !places.some(({ path }) => isSame(wanted.path, path)))?.name
  }
}

function isSame(wanted: string, path: string): boolean {
  if (wanted === path) return true
  const identity = identityOf(wanted)
  return identity !== undefined && identity === identityOf(path)
}
