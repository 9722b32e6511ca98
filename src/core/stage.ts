/** What a stage gives back: a value, the damage found beside it, and what it cost. */
import { type ErrorCode, StorageError } from './errors.js'
import type { EntityKey } from './keys.js'

export type StageName = 'plan' | 'resolve' | 'hydrate'

/** Damage of the world, found while something else was read. The caller's own mistakes are thrown instead. */
export interface StageIssue {
  readonly code: ErrorCode
  readonly key?: EntityKey
  readonly path?: string
  /** Byte offset inside the record, where it is known; of a line of a log inside the file (of the unpacked text where it is packed). */
  readonly offset?: number
  /** Of a line of a log, counted from 1. */
  readonly line?: number
  /** One clause: what was found. */
  readonly reason: string
  /** True when reading again a moment later may give the record. */
  readonly transient?: boolean
}

/** What an error says of a record, as an issue. */
export function issueOf({ code, reason, offset }: StorageError, key: EntityKey, path: string): StageIssue {
  return { code, key, path, reason, ...(offset !== undefined && { offset }) }
}

/** What an error says of a whole store; `store` is its path, for errors that name none. */
export function storeIssueOf({ code, path, reason, retryable }: StorageError, store?: string): StageIssue {
  const place = path ?? store
  return { code, ...(place !== undefined && { path: place }), reason, transient: retryable }
}

/** The work of one stage, counted. */
export interface StageReport {
  readonly stage: StageName
  readonly durationMs: number
  /** Files opened (resolve) or to be opened (plan). */
  readonly files: number
  /** Rows read (resolve) or to be read (plan). */
  readonly rows: number
  /** Bytes of content read, planned or parsed. */
  readonly bytes: number
  readonly records: number
}

export type StageResult<T> =
  | { readonly status: 'ok'; readonly value: T; readonly report: StageReport }
  | { readonly status: 'partial'; readonly value: T; readonly issues: readonly [StageIssue, ...StageIssue[]]; readonly report: StageReport }
  | { readonly status: 'failed'; readonly error: StorageError; readonly report: StageReport }

/** A value with its issues, if there are any. */
export function settle<T>(value: T, issues: readonly StageIssue[], report: StageReport): StageResult<T> {
  const [first, ...rest] = issues
  if (first === undefined) return { status: 'ok', value, report }
  return { status: 'partial', value, issues: [first, ...rest], report }
}

/** A failed result for a StorageError; anything else is a bug and is thrown on. */
export function fail<T>(error: unknown, report: StageReport): StageResult<T> {
  if (error instanceof StorageError) return { status: 'failed', error, report }
  throw error
}

/** The issues of a result, none when it is ok or failed. */
export function issuesOf(result: StageResult<unknown>): readonly StageIssue[] {
  return result.status === 'partial' ? result.issues : []
}

/** The value of a result. @throws the StorageError of a failed one. */
export function unwrap<T>(result: StageResult<T>): T {
  if (result.status === 'failed') throw result.error
  return result.value
}
