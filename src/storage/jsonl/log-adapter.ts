/** What a coding agent's logs look like: where they stand, what their lines are, and what is light in them. One adapter per agent. */
import type { FormatName } from '../../core/formats.js'
import type { Agent } from '../../core/keys.js'
import type { StageIssue } from '../../core/stage.js'
import type { StoreKind } from '../store.js'
import type { LogIndex, LogLine } from './log-index.js'

/** A file of a session. 'lines': a log, one object a line. 'document': one object, rewritten as a whole (jcode's snapshot). */
export interface LogFile {
  /** Absolute. */
  readonly path: string
  readonly form: 'lines' | 'document'
  /** Compressed by zstd; offsets are those of the unpacked text. */
  readonly packed: boolean
  /** It may not be there, which is as if it were empty. @default false */
  readonly optional?: boolean
}

/** A session as names of files and folders tell it; nothing was opened. */
export interface LogSession {
  /** What the file's name says; the log itself may say something else (`LogMeta.id`). */
  readonly id: string
  /** The folder it is grouped in, where the agent groups sessions. */
  readonly project: string
  /** The log first; at least one. */
  readonly files: readonly LogFile[]
  /** The session that started it, where the folder tells. */
  readonly parent?: string
  readonly archived?: boolean
  /** When it was begun, epoch milliseconds, where its name tells. */
  readonly created?: number
}

export interface LogListing {
  readonly sessions: readonly LogSession[]
  /** Folders that could not be read. */
  readonly issues: readonly StageIssue[]
  /** Files below the root that are no sessions' logs, or that stand behind another file of the same session. */
  readonly leftOut: readonly { readonly path: string; readonly reason: string }[]
}

/** The light fields of a session, put together line by line; plain data, so that a listing can go on where it stopped. */
export interface LogMeta {
  id?: string
  /** A name that somebody or the agent gave. */
  title?: string
  /** The beginning of what was asked first (`promptIn`); of it is the title where there is no other. */
  prompt?: string
  directory?: string
  version?: string
  model?: { readonly id: string; readonly providerID: string }
  parent?: string
  /** The session that this one was forked from. */
  fork?: string
  /** A mark that somebody gave. */
  label?: string
  tag?: string
  /** Epoch milliseconds. `updated` is the newest that the log says itself; its lines near the end may know a newer one (`LineTimes.late`). */
  created?: number
  updated?: number
  /** Of the first line that has a time: for a log that does not say when it was created. */
  first?: number
  archived?: number
  /** Lines that are not blank, of all files. */
  entries: number
  /** What else an adapter remembers from line to line. */
  notes?: Record<string, unknown>
}

/** A line that is longer, in bytes, a listing does not parse as it is (`lightIn`). */
export const LIGHT = 2 ** 20

export interface LogAdapter {
  readonly agent: Agent
  readonly kind: StoreKind
  readonly format: FormatName
  /** Names only: readdir, no open. `only`: one log in the root is asked for. @throws StorageError STORE_UNREADABLE when the root itself cannot be listed */
  list(root: string, only?: string): LogListing
  /** Takes a line into the index. `line.crc` is of the bytes from `start` to `end`. Parses nothing. */
  read(bytes: Buffer, start: number, end: number, line: LogLine, log: LogIndex): void
  /**
   * Whether `describe` wants the line: a look at its first bytes. Called for every line of every session, so it must cost next to nothing.
   * `offset` is where `bytes[start]` stands in the log (without it: at `start`), `until` how far `bytes` hold what follows (`end`).
   */
  tells(bytes: Buffer, start: number, end: number, meta: LogMeta, offset?: number, until?: number): boolean
  /** Takes what a line that tells something says. `document` is the line, parsed; a damaged one is never given. */
  describe(document: Record<string, unknown>, meta: LogMeta, file: LogFile): void
  /** When the line was written, epoch milliseconds, where it says so: asked of the last lines. Parses nothing. */
  timeOf(bytes: Buffer, start: number, end: number): number | undefined
  /** Where 24 characters of such a time stand, where the line has them at the place that they have in nearly all; else -1. Asked of the last lines. */
  timePlace?(bytes: Buffer, start: number, end: number): number
  /**
   * Of a document: the ranges of its messages, which `read` is then given one by one, and the bytes of the document without
   * them, for `describe`. Undefined: the document is damaged.
   */
  readonly split?: (bytes: Buffer) => SplitDocument | undefined
  /** What is whole of a document that is damaged, and what is not. */
  readonly rescue?: (bytes: Buffer) => SplitDocument
}

/** Bytes of a document. */
export interface DocumentRange {
  readonly start: number
  readonly end: number
}

export interface SplitDocument {
  readonly messages: readonly DocumentRange[]
  /** What else it has that is no message and not light, and why it is left out. */
  readonly others: readonly (DocumentRange & { readonly reason: string })[]
  /** The object without its long lists, as JSON; made when it is asked for, of the bytes that were split. */
  readonly rest: Buffer
  /** What could not be read, in the order of the bytes. */
  readonly damage?: readonly DocumentRange[]
  /** Damage that has no bytes of its own: the document ends too early, say. */
  readonly flaw?: { readonly offset: number; readonly reason: string } | undefined
}
