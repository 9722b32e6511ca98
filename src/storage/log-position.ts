/** The place of a message in the tree of messages that a log holds. */
import type { MessageId } from '../core/ids.js'

/** Where a message stands in the tree that its log holds. */
export interface LogPosition {
  /** The message that it answers or continues; undefined for a root. */
  readonly parent: MessageId | undefined
  readonly trait: LogTrait | undefined
  /** Nothing in the log tells yet that its writer is done with it. */
  readonly open: boolean
  /**
   * Where the active leaf went after this message although no other one began (turns that were taken back, another branch that was gone to): to
   * that message, or, null, before all of them. It counts of the message that `activePath` takes for the last.
   */
  readonly leaf?: MessageId | null
}

/**
 * 'sidechain': of a subagent, in the log of its session. 'inherited': copied from the session that this one was forked from. 'damaged': a line
 * that tells neither what it was nor what it followed.
 */
export type LogTrait = 'sidechain' | 'inherited' | 'damaged'
