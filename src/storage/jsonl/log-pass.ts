/** What a listing keeps of a log that it passed over: its light fields, and where to go on when the log grows. */
import type { SessionKey } from '../../core/keys.js'
import type { StageIssue } from '../../core/stage.js'
import type { Writer } from '../log-writer.js'
import type { SessionEntry } from '../store.js'
import type { LogPlace } from './line-scanner.js'
import type { LateTime } from './line-times.js'
import type { LogMeta, LogSession } from './log-adapter.js'
import type { LogStat } from './log-bytes.js'
import type { TailCursor } from './tail-cursor.js'

/** A session as it was listed last. */
export interface ListedLog {
  readonly key: SessionKey
  readonly session: LogSession
  readonly entry: SessionEntry
  readonly meta: LogMeta
  readonly stats: readonly (LogStat | undefined)[]
}

/** A session as its files tell it. */
export interface Pass {
  /** Of a log that was not read in this process: what another one listed. */
  readonly entry?: SessionEntry
  readonly session: LogSession
  readonly meta: LogMeta
  readonly files: readonly PassedFile[]
  readonly damage: StageIssue | undefined
}

/** A file of it, as the pass over its lines left it. */
export interface PassedFile {
  readonly stat: LogStat | undefined
  /** When it was last written to, as far as anybody knows, epoch milliseconds. */
  readonly written: number
  /** Undefined for what never grows by appending. */
  readonly cursor: TailCursor | undefined
  /** Entries behind the last newline: NULs, and what follows them. They are none of the pass yet, lest they be counted twice. */
  readonly loose: number
  readonly writer?: Writer | undefined
  /** Of lines near its end. */
  readonly late?: readonly LateTime[] | undefined
  /** What was known before the line behind the last newline: that may go on as another one. Undefined: there is none. */
  readonly sure?: { readonly meta: LogMeta; readonly late: readonly LateTime[] } | undefined
}

/** A file that grew, and from where. */
export interface Growth {
  readonly at: number
  readonly from: LogPlace
  readonly before: PassedFile
}
