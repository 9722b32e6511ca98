/** Where the records of a tree of files stand, for the eras that kept them as files. */
import { join, sep } from 'node:path'
import type { MessageId, SessionId } from '../../core/ids.js'
import type { EntityKey } from '../../core/keys.js'
import type { Slab } from '../slab.js'
import type { CensusEntry, CensusOptions, Leaf } from '../store.js'
import { treeCensus } from './census.js'
import { foldersIn } from './names.js'

/** Opens one record file, whatever version of it is there. */
export type OpenFile = (path: string, key: EntityKey, slab: Slab) => Promise<Leaf>

/** A folder of session files, and the project they belong to. */
export interface SessionFolder {
  readonly project: string
  readonly path: string
}

/** `project` is the one a session was listed in; undefined for a session that was not. */
export interface FileLayout {
  readonly kind: 'opencode-json' | 'opencode-era-a'
  /** Absolute. */
  readonly path: string
  /** The folder that the sessions' folders stand in. */
  readonly root: string
  /** @throws StorageError STORE_UNREADABLE */
  sessionFolders(): readonly SessionFolder[]
  messageFolder(session: SessionId, project: string | undefined): string
  /** Where the parts of a message stand, and where a failed conversion may have put them. */
  partFolders(session: SessionId, message: MessageId, project: string | undefined): readonly [usual: string] | readonly [usual: string, other: string]
  /** Undefined where this era kept none. */
  documentFile(kind: 'todo' | 'diff', session: SessionId): string | undefined
  /** `homeOf` names the project that a session was listed in. */
  census(homeOf: (session: SessionId) => string | undefined, open: OpenFile, slab: () => Slab, options: CensusOptions): AsyncIterable<CensusEntry>
}

/** Era B (1.0 to 1.1): one tree for all projects. */
export function eraBLayout(path: string): FileLayout {
  const root = join(path, 'session')
  // One string less to take apart and put together for each session and each message.
  const [messages, parts] = [join(path, 'message'), join(path, 'part')]
  return {
    kind: 'opencode-json',
    path,
    root,
    sessionFolders: () => foldersIn(root).map((project) => ({ project, path: join(root, project) })),
    messageFolder: (session) => `${messages}${sep}${session}`,
    partFolders: (_session, message) => [`${parts}${sep}${message}`],
    documentFile: (kind, session) => join(path, kind === 'todo' ? 'todo' : 'session_diff', `${session}.json`),
    census: (homeOf, open, slab, options) => treeCensus(path, homeOf, open, slab, options),
  }
}
