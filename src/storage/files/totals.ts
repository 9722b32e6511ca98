/** What a tree of files holds, counted by the names and sizes of its files. */
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { systemCode } from '../../core/errors.js'
import { isSafeId } from '../../core/ids.js'
import type { StoreTotals } from '../store.js'
import type { FileLayout } from './layout.js'

/** What stands in a folder of the tree, and how many folders below it. */
interface Records {
  readonly counted: 'sessions' | 'messages' | 'parts'
  readonly depths: readonly number[]
}

const FOLDERS: Readonly<Record<FileLayout['kind'], Readonly<Record<string, Records>>>> = {
  'opencode-json': {
    session: { counted: 'sessions', depths: [1] },
    message: { counted: 'messages', depths: [1] },
    part: { counted: 'parts', depths: [1] },
  },
  'opencode-era-a': {
    info: { counted: 'sessions', depths: [0] },
    message: { counted: 'messages', depths: [1] },
    part: { counted: 'parts', depths: [1, 2] },
  },
}

/** Files between two turns of the event loop: some milliseconds. */
const BATCH = 1000

/** A folder that cannot be read counts as empty: `verify` names those. */
export async function filesTotals({ kind, path }: FileLayout, signal: AbortSignal | undefined): Promise<StoreTotals> {
  const totals = { sessions: 0, messages: 0, parts: 0, bytes: 0 }
  let met = 0
  for (const { path: file, counted } of everyFile(kind, path)) {
    if (met++ % BATCH === 0) {
      await new Promise((resolve) => setImmediate(resolve))
      signal?.throwIfAborted()
    }
    totals.bytes += sizeOf(file)
    if (counted !== undefined) totals[counted]++
  }
  return totals
}

interface File {
  readonly path: string
  readonly counted: Records['counted'] | undefined
}

function* everyFile(kind: FileLayout['kind'], path: string): Generator<File> {
  // Beside an era A tree stand git's objects, which are no part of it.
  const roots = kind === 'opencode-json' ? [path] : entriesOf(path).map(({ name }) => join(path, name, 'storage', 'session'))
  for (const root of roots) {
    for (const { name } of entriesOf(root)) yield* filesBelow(join(root, name), FOLDERS[kind][name], 0, false)
  }
}

/** Links to folders are followed where records stand below, and no further: they may lead in a circle. */
function* filesBelow(folder: string, records: Records | undefined, depth: number, linked: boolean): Generator<File> {
  const isAbove = depth < Math.max(0, ...(records?.depths ?? []))
  for (const entry of entriesOf(folder)) {
    const path = join(folder, entry.name)
    const isLinked = entry.isSymbolicLink() && isFolder(path)
    if (entry.isDirectory() || isLinked) {
      if (isAbove || !(linked || isLinked)) yield* filesBelow(path, records, depth + 1, linked || isLinked)
    } else {
      const isRecord = records?.depths.includes(depth) === true && entry.name.endsWith('.json') && isSafeId(entry.name.slice(0, -5))
      yield { path, counted: isRecord ? records.counted : undefined }
    }
  }
}

function entriesOf(folder: string) {
  try {
    return readdirSync(folder, { withFileTypes: true })
  } catch (error) {
    if (systemCode(error) === undefined) throw error
    return []
  }
}

function isFolder(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true
  } catch (error) {
    if (systemCode(error) === undefined) throw error
    return false
  }
}

function sizeOf(path: string): number {
  try {
    return statSync(path, { throwIfNoEntry: false })?.size ?? 0
  } catch (error) {
    if (systemCode(error) === undefined) throw error
    return 0
  }
}
