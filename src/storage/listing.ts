/** What a store gives when it is listed, and what of it is handed back so that the next listing costs what changed. */
import type { SessionId } from '../core/ids.js'
import type { SessionKey } from '../core/keys.js'
import type { SessionRecord } from '../core/records.js'
import type { StageIssue } from '../core/stage.js'
import type { LogCursor } from './cursor.js'
import type { Generation } from './generation.js'

export interface ReadOptions {
  readonly signal?: AbortSignal | undefined
  /** Rows are opened with all their columns. */
  readonly native?: boolean | undefined
}

/** What was listed, and whether that was all. An incomplete listing says nothing about what is absent from it. */
export interface Listing<T> {
  readonly entries: readonly T[]
  readonly issues: readonly StageIssue[]
  readonly complete: boolean
  /** Of the messages of a log, where it was asked for: where the log ended when they were listed. */
  readonly cursor?: LogCursor | undefined
  /**
   * Of sessions. Opaque, and good in another process: while a listing gives the same one, nothing was written to the store in between.
   * Missing where the store cannot tell, and while its last write is too near to the look to be told from one after it.
   */
  readonly mark?: string | undefined
}

export interface SessionEntry {
  readonly key: SessionKey
  readonly project: string
  /** The light fields of the session; missing when its record is damaged, which `damage` then names. */
  readonly record: SessionRecord | undefined
  readonly damage?: StageIssue
  /** The file or database that holds the session's own record. */
  readonly path: string
  /** Version of the session's own record. */
  readonly generation: Generation
  /**
   * Opaque. Moves with the session's own record, and with its messages and parts as far as a listing looks at them: a file that is
   * rewritten in place is seen only among those that are looked at closely. `revision` tells exactly. Missing where the store cannot tell.
   */
  readonly version?: string | undefined
}

/** What a listing of the sessions of a store left behind, in this process or an earlier one. */
export interface ListedBefore {
  readonly entries: readonly SessionEntry[]
  readonly mark?: string | undefined
}

/** What a listing before said of a session that is not looked at now. */
export type KnownSession = { readonly session: SessionId } & Pick<SessionEntry, 'generation'>

export interface ListOptions extends ReadOptions {
  /**
   * Of this very store. Its entries are given back, the same objects, for what did not change since, and nothing of theirs is opened.
   * Damaged ones, and those without a version, are read again.
   */
  readonly before?: ListedBefore | undefined
  /** These alone need to be looked at: of `before` the other entries may be given back as they are. */
  readonly only?: readonly SessionKey[] | undefined
  /** Sessions of which files that may have been rewritten in place are looked at one by one, besides those that the store itself finds likely. */
  readonly hot?: ((session: SessionKey) => boolean) | undefined
  /**
   * Paths in the store that are known to have been written to since the listing before; what they belong to is found out. One that
   * says too little, as a folder of everything, makes all sessions hot.
   */
  readonly dirty?: readonly string[] | undefined
  /** Trust nothing that `before` says: read every record of a session again, and look at every message and part. */
  readonly deep?: boolean | undefined
}
