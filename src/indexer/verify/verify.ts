/** Verification from outside: what the sessions say, what the ledger says and what the sink holds, compared. */
import type { MessageId } from '../../core/ids.js'
import type { SessionKey } from '../../core/keys.js'

export interface VerifyOptions {
  /** @default all that are listed or known */
  readonly sessions?: readonly SessionKey[]
  /** Queues what differs and drains, then compares again. @default false */
  readonly repair?: boolean
  readonly signal?: AbortSignal
}

/**
 * missing: the sink lacks a document. stale: it holds another text or an older write of it. orphan: it holds one that nothing names.
 * unindexed: a settled message that the ledger does not have. outdated: the ledger has an older version of a settled message.
 * leftover: the ledger has a message that the session does not show.
 */
export type DifferenceKind = 'missing' | 'stale' | 'orphan' | 'unindexed' | 'outdated' | 'leftover'

export interface IndexDifference {
  readonly kind: DifferenceKind
  /** Undefined for an orphan that belongs to no session the index knows. */
  readonly key: SessionKey | undefined
  readonly message: MessageId | undefined
  /** Of the sink. */
  readonly document: string | undefined
}

export interface VerifyReport {
  readonly sessions: number
  readonly messages: number
  /** That the sink holds. */
  readonly documents: number
  readonly differences: readonly IndexDifference[]
  /** Messages that are still being written; they are no differences. */
  readonly unsettled: number
  readonly quarantined: number
  /** Messages whose ids do not fit the keys of the index. */
  readonly leftOut: number
  /** Sessions of stores that could not be looked at, or that were changed meanwhile: nothing is said of them. */
  readonly unknown: number
  /** Differences that a repair ended. */
  readonly repaired: number
}
