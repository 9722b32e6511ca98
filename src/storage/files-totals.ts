/** What a tree of files holds, counted by the names and sizes of its files. */
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { systemCode } from '../core/errors.js'
import { isSafeId } from '../core/ids.js'
import type { FileLayout } from './file-layout.js'
import type { StoreTotals } from './store.js'

type Counted = 'sessions' | 'messages' | 'parts'

const FOLDERS: Readonly<Record<string, Counted>> = { session: 'sessions', info: 'sessions', message: 'messages', part: 'parts' }

/** A folder that cannot be read counts as empty: `verify` names those. Of a link to a folder of records its files count, no folders: it may lead round in a circle. */
export function filesTotals({ kind, path }: FileLayout, signal: AbortSignal | undefined): StoreTotals {
  const totals = { sessions: 0, messages: 0, parts: 0, bytes: 0 }
  const walk = (folder: string, counted: Counted | undefined, inner: 'all' | 'folders' | 'none'): void => {
    signal?.throwIfAborted()
    for (const entry of entriesOf(folder)) {
      const inside = join(folder, entry.name)
      if (entry.isDirectory()) {
        if (inner !== 'none') walk(inside, counted, 'folders')
      } else if (inner === 'all' && entry.isSymbolicLink() && isFolder(inside)) walk(inside, counted, 'none')
      else {
        totals.bytes += sizeOf(inside)
        if (counted !== undefined && entry.name.endsWith('.json') && isSafeId(entry.name.slice(0, -5))) totals[counted]++
      }
    }
  }
  // Beside an era A tree stand git's objects, which are no part of it.
  const roots = kind === 'opencode-json' ? [path] : entriesOf(path).map(({ name }) => join(path, name, 'storage', 'session'))
  for (const root of roots) {
    for (const { name } of entriesOf(root)) walk(join(root, name), FOLDERS[name], 'all')
  }
  return totals
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
    return statSync(path).isDirectory()
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
