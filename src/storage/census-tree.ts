/** A walk through a tree of record files that loses sight of nothing: what it does not yield, it counts. */
import { type Dirent, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { systemCode } from '../core/errors.js'
import { isSafeId } from '../core/ids.js'
import type { CensusEntry } from './store.js'

export interface RecordFile {
  readonly folder: string
  readonly name: string
  readonly path: string
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
    for (const { name, isFile } of this.entries(...folders)) {
      if (isFile) this.ignore('foreign file')
      else yield name
    }
  }

  /** The record files of one folder. */
  *flat(...folders: readonly string[]): Generator<RecordFile> {
    for (const { name, isFile } of this.entries(...folders)) {
      const file = isFile ? this.recordFile(name, ...folders) : this.ignore('foreign folder')
      if (file !== undefined) yield file
    }
  }

  /** The record file of that name in a folder; any other file is counted. */
  recordFile(file: string, ...folders: readonly string[]): RecordFile | undefined {
    const name = file.endsWith('.json') ? file.slice(0, -5) : undefined
    if (name === undefined || !isSafeId(name)) return this.ignore(strangeness(file))
    return { folder: folders.at(-1) ?? '', name, path: join(this.#root, ...folders, file) }
  }

  leaveAlone(folder: string, reason: string): void {
    for (const _ of this.entries(folder)) this.ignore(reason)
  }

  /** Counts every file below a folder. */
  leaveTreeAlone(reason: string, ...folders: readonly string[]): void {
    for (const { name, isFile } of this.entries(...folders)) {
      if (isFile) this.ignore(reason)
      else this.leaveTreeAlone(reason, ...folders, name)
    }
  }

  *leftovers(): Generator<CensusEntry> {
    for (const [reason, count] of this.#ignored) yield { what: 'ignored', reason, count }
    for (const folder of this.#unreadable) yield { what: 'unreadable', ...folder }
  }

  entries(...folders: readonly string[]): readonly { readonly name: string; readonly isFile: boolean }[] {
    const path = join(this.#root, ...folders)
    try {
      return readdirSync(path, { withFileTypes: true }).map((entry) => ({ name: entry.name, isFile: isFileEntry(entry, path) }))
    } catch (error) {
      if (systemCode(error) !== 'ENOENT') this.#unreadable.push({ path, reason: `the folder cannot be read (${systemCode(error) ?? String(error)})` })
      return []
    }
  }
}

/** Symbolic links are taken for what they point to; one that leads nowhere for a file, so that opening it names the reason. */
function isFileEntry(entry: Dirent, folder: string): boolean {
  if (!entry.isSymbolicLink()) return entry.isFile()
  try {
    return statSync(join(folder, entry.name)).isFile()
  } catch {
    return true
  }
}

function strangeness(file: string): string {
  if (file.endsWith('.tmp')) return 'temporary file'
  return file.endsWith('.json') ? 'unsafe name' : 'foreign file'
}
