/** How new a store is, and what is shown of it. */
import { type Stats, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Sessions, StoreDescription } from '../index.js'

export interface Freshness {
  /** When somebody last wrote to it, epoch milliseconds; undefined where nothing tells. */
  readonly written: number | undefined
  /** It could not be listed now: what is shown of it is of an earlier look. */
  readonly stale: boolean
}

/** A database by its files; a folder by the sessions that are read from it, since its own time tells little of what is deep in it. */
export function freshnessOf({ kind, path }: Pick<StoreDescription, 'kind' | 'path'>, { index, issues }: Sessions): Freshness {
  const times = [path, `${path}-wal`].flatMap((file) => fileTime(file))
  const updated = index.sessionsByTime().find(({ source }) => source.kind === kind && source.path === path)?.updated
  const written = Math.max(...times, ...(times.length === 0 && updated !== undefined ? [updated] : []))
  return {
    written: Number.isFinite(written) && written > 0 ? Math.round(written) : undefined,
    stale: issues.some((issue) => issue.key === undefined && issue.path === path),
  }
}

/** An empty -wal is left by those who read. */
function fileTime(path: string): readonly number[] {
  const stat = fileStat(path)
  return stat === undefined || stat.size === 0 ? [] : [stat.mtimeMs]
}

/** Undefined for what is no file, or cannot be looked at. */
function fileStat(path: string): Stats | undefined {
  try {
    const stat = statSync(path, { throwIfNoEntry: false })
    return stat?.isFile() === true ? stat : undefined
  } catch {
    return undefined
  }
}

export interface CatalogFile {
  readonly path: string
  /** With its write-ahead log. */
  readonly bytes: number
  /** Epoch milliseconds. */
  readonly written: number
}

/** What was listed last, as it is kept in spanleaf's own folder; undefined when there is nothing. */
export function catalogFile(home: string): CatalogFile | undefined {
  return catalogAt(join(home, 'sessions.idx.db'))
}

export function catalogAt(path: string): CatalogFile | undefined {
  const files = [path, `${path}-wal`].map(fileStat)
  if (files[0] === undefined) return undefined
  const bytes = files.reduce((sum, stat) => sum + (stat?.size ?? 0), 0)
  return { path, bytes, written: Math.round(Math.max(...files.map((stat) => stat?.mtimeMs ?? 0))) }
}
