/** Which folders of a store events are asked of, and where events would not tell what others write. Nothing is opened. */

import { statfsSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { NETWORK_FILESYSTEMS } from '../../core/filesystems.js'
import { isFolder, isOrMayBe } from '../file-type.js'
import { versionOf } from '../paths.js'
import type { Store } from '../store.js'

/** What of a store is enough to watch it. */
export type WatchedStore = Pick<Store, 'kind' | 'path' | 'stamp'>

export interface WatchedPlace {
  /** Folders whose events tell of the store. */
  readonly roots: readonly string[]
  /** What never holds sessions, as globs; the same for every store of a kind. */
  readonly ignore: readonly string[]
  /** Moves when the store was written to; asking costs next to nothing. Events are not needed then. */
  readonly stamp?: () => string | Promise<string>
}

export function watchedPlace(store: WatchedStore): WatchedPlace {
  const { kind, path } = store
  if (store.stamp !== undefined) return { roots: [], ignore: [], stamp: async () => (await store.stamp?.()) ?? '' }
  if (kind === 'memory') return { roots: [], ignore: [] }
  // A single log: the folder around it may be anything.
  if (!isOrMayBe(() => isFolder(path)) && /\.(jsonl|zst|json)$/.test(path)) return { roots: [], ignore: [], stamp: () => logStamp(path) }
  // The home of Codex holds much besides.
  if (kind === 'codex-jsonl' && !/sessions$/.test(basename(path))) {
    const roots = ['sessions', 'archived_sessions'].map((name) => join(path, name)).filter((root) => isOrMayBe(() => isFolder(root)))
    if (roots.length > 0) return { roots, ignore: [] }
  }
  return { roots: [path], ignore: IGNORED[kind] ?? [] }
}

const inside = (name: string): readonly string[] => [`**/${name}`, `**/${name}/**`]

const IGNORED: Readonly<Partial<Record<Store['kind'], readonly string[]>>> = {
  'opencode-era-a': [...inside('snapshot'), ...inside('snapshots')],
  'claude-jsonl': inside('tool-results'),
}

/** Of the log, of a journal beside it, and of the folder that Claude Code keeps beside it. */
function logStamp(path: string): string {
  const bare = path.replace(/(\.journal)?\.jsonl?(\.zst)?$/, '')
  return [path, `${bare}.journal.jsonl`, bare, join(bare, 'subagents')].map((one) => versionOf(one) ?? '').join()
}

/** The folders next to a session in which its writer makes files and changes them; watched without what is below them. */
export function foldersOfSession({ kind, path }: Pick<Store, 'kind' | 'path'>, session: string, file: string): readonly string[] {
  switch (kind) {
    case 'opencode-json':
      return [join(path, 'message', session)]
    case 'pi-jsonl':
    case 'claude-jsonl':
    case 'codex-jsonl':
    case 'jcode-journal':
      return [dirname(file)]
    default:
      return []
  }
}

/** Of FUSE and the shared folders of virtual machines nobody can tell whether somebody else writes there, too. */
const REMOTE: ReadonlyMap<number, string> = new Map([...NETWORK_FILESYSTEMS, [0x65735546, 'FUSE'], [0x786f4256, 'a shared folder of VirtualBox']])

/** Linux's `f_type` of a path; undefined on other systems, which number theirs by other rules, and where nothing can be looked at. */
export type FilesystemOf = (path: string) => number | undefined

export function filesystemOf(path: string): number | undefined {
  if (process.platform !== 'linux') return undefined
  try {
    return Number(statfsSync(path).type)
  } catch {
    return undefined
  }
}

/** Why events of a folder would not tell what others write to it. */
export function whyUnheard(path: string, filesystem: FilesystemOf): string | undefined {
  if (/^[\\/]{2}[^\\/.?]/.test(path) && process.platform === 'win32') return 'the store lies on a network share, whose events are not to be relied on'
  const type = filesystem(path)
  // 32-bit types come out sign-extended on some builds.
  const name = type === undefined ? undefined : REMOTE.get(type >>> 0)
  return name && `the store lies on ${name}, whose events do not tell what other machines write`
}
