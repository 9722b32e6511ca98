/** A walk through a tree of record files that loses sight of nothing: what it does not yield, it counts. */
import { type Dirent, lstatSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { systemCode } from '../../core/errors.js'
import { isSafeId } from '../../core/ids.js'
import type { EntityKey } from '../../core/keys.js'
import type { Slab } from '../slab.js'
import type { CensusEntry, CensusKind, CensusOptions } from '../store.js'
import type { OpenFile } from './layout.js'

/** One record to be, before its file is opened. */
export interface Found {
  readonly kind: CensusKind
  readonly key: EntityKey
  readonly path: string
  readonly orphan: boolean
  readonly ignored?: string
}

/** Opens what was found, in its order. A file that is gone by then is on disk no more, and counts as nothing. */
export async function* openFound(found: Iterable<Found>, open: OpenFile, slab: () => Slab, options: CensusOptions): AsyncGenerator<CensusEntry> {
  for (const { kind, key, path, orphan, ignored } of found) {
    options.signal?.throwIfAborted()
    const leaf = await open(path, key, slab())
    if (leaf.issue?.code === 'STALE_SPAN' && isGone(path)) continue
    yield { what: 'record', kind, key, path, leaf, orphan, ignored }
  }
}

function isGone(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false }) === undefined
  } catch {
    return false
  }
}

export interface RecordFile {
  readonly folder: string
  readonly name: string
  readonly path: string
}

export interface TreeEntry {
  readonly name: string
  readonly isFile: boolean
  readonly isLink: boolean
}

/** Walks the tree, and counts what it passes by. */
export class CensusTree {
  readonly #root: string
  readonly #ignored = new Map<string, number>()
  readonly #unreadable: { path: string; reason: string }[] = []

  constructor(root: string) {
    this.#root = root
  }

  ignore(reason: string): undefined {
    this.#ignored.set(reason, (this.#ignored.get(reason) ?? 0) + 1)
  }

  /** The record files in the folders of a folder. */
  *nested(...folders: readonly string[]): Generator<RecordFile> {
    for (const folder of this.folders(...folders)) yield* this.flat(...folders, folder)
  }

  /** The names of the folders in a folder. */
  *folders(...folders: readonly string[]): Generator<string> {
    for (const entry of this.entries(...folders)) {
      if (entry.isFile) this.foreign(entry)
      else yield entry.name
    }
  }

  /** The record files of one folder. */
  *flat(...folders: readonly string[]): Generator<RecordFile> {
    for (const entry of this.entries(...folders)) {
      const file = entry.isFile ? this.recordFile(entry.name, ...folders) : this.foreign(entry, ...folders)
      if (file !== undefined) yield file
    }
  }

  /** The record file of that name in a folder; any other file is counted. */
  recordFile(file: string, ...folders: readonly string[]): RecordFile | undefined {
    const name = file.endsWith('.json') ? file.slice(0, -5) : undefined
    if (name === undefined) return this.ignore(strangeness(file))
    if (!isSafeId(name)) return this.ignore('unsafe name')
    return { folder: folders.at(-1) ?? '', name, path: join(this.#root, ...folders, file) }
  }

  /** Counts what has no business here: a file, or a folder and every file below it. */
  foreign({ name, isFile, isLink }: TreeEntry, ...folders: readonly string[]): undefined {
    if (isFile) return this.ignore(strangeness(name))
    this.ignore('foreign folder')
    if (!isLink) this.leaveTreeAlone('file in a foreign folder', ...folders, name)
  }

  /** Counts every file below a folder. Links are counted, not followed: they may lead anywhere. */
  leaveTreeAlone(reason: string, ...folders: readonly string[]): void {
    for (const { name, isFile, isLink } of this.entries(...folders)) {
      if (isFile || isLink) this.ignore(reason)
      else this.leaveTreeAlone(reason, ...folders, name)
    }
  }

  *leftovers(): Generator<CensusEntry> {
    for (const [reason, count] of this.#ignored) yield { what: 'ignored', reason, count }
    for (const folder of this.#unreadable) yield { what: 'unreadable', ...folder }
  }

  entries(...folders: readonly string[]): readonly TreeEntry[] {
    const path = join(this.#root, ...folders)
    try {
      return readdirSync(path, { withFileTypes: true }).map((entry) => ({
        name: entry.name,
        isFile: isFileEntry(entry, path),
        isLink: entry.isSymbolicLink(),
      }))
    } catch (error) {
      if (systemCode(error) !== 'ENOENT') this.#unreadable.push({ path, reason: `the folder cannot be read (${systemCode(error) ?? String(error)})` })
      return []
    }
  }
}

/** Symbolic links are taken for what they point to; one that leads nowhere for a file, so that opening it names the reason. */
function isFileEntry(entry: Dirent, folder: string): boolean {
  if (!entry.isSymbolicLink()) return !entry.isDirectory()
  try {
    return !statSync(join(folder, entry.name)).isDirectory()
  } catch {
    return true
  }
}

function strangeness(file: string): string {
  return file.endsWith('.tmp') ? 'temporary file' : 'foreign file'
}
