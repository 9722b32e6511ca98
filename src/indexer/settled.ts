/**
 * When a message is final: text that is still being written is never embedded. OpenCode's records tell it themselves; of a log it is
 * the log that tells whether lines may still be added to a message (`LogPosition.open`), by the rule of its agent's adapter.
 */
import type { Part } from '../core/parts.js'
import type { MessageNode } from '../tree/types.js'

export interface SettleOptions {
  /** A last message that carries no sign of its end is taken as final after so many quiet milliseconds. */
  readonly settleMs: number
  /** A message whose writer died is taken as it is after so many quiet milliseconds. */
  readonly abandonMs: number
}

export interface Surroundings {
  /** A later message exists in the session. */
  readonly later: boolean
  /** Epoch milliseconds, all three. */
  readonly now: number
  /** When this version of the message was first seen. */
  readonly seen: number
  readonly sessionUpdated: number
}

/** settled: final. partial: its writer is gone, nothing more will come. volatile: look again later. */
export type Settlement = 'settled' | 'partial' | 'volatile'

export function settlement(node: MessageNode, around: Surroundings, options: SettleOptions): Settlement {
  // A time in the future comes from another clock; then what we saw ourselves counts.
  const quietMs = around.now - Math.min(node.changed ?? around.seen, around.seen)
  if (node.damagedParts === 0 && hasEnded(node, around.later || quietMs >= options.settleMs, quietMs >= options.settleMs)) return 'settled'
  if (isFinalDamage(node, around)) return 'partial'
  const updated = around.sessionUpdated <= around.now ? around.sessionUpdated : around.seen
  const sessionIdle = around.now - updated >= options.abandonMs
  return quietMs >= options.abandonMs && (around.later || sessionIdle) ? 'partial' : 'volatile'
}

/** A log only grows: of a damaged line that others follow nothing more will come. The last one may be half-written. */
function isFinalDamage({ log, damagedParts }: MessageNode, { later }: Surroundings): boolean {
  return later && log !== undefined && (log.trait === 'damaged' || (damagedParts > 0 && !log.open))
}

function hasEnded(node: MessageNode, passed: boolean, quiet: boolean): boolean {
  if (node.log !== undefined && node.message?.role === 'assistant') return (!node.log.open || quiet) && node.parts.every(partHasEnded)
  switch (node.message?.role) {
    // Its own record is damaged, or half-written.
    case undefined:
      return false
    case 'user':
      return passed
    case 'assistant':
      return (node.message.time.completed !== undefined || node.message.error !== undefined) && node.parts.every(partHasEnded)
    case 'unknown':
      return quiet
  }
}

function partHasEnded(part: Part): boolean {
  switch (part.type) {
    case 'tool':
      return part.state.status === 'completed' || part.state.status === 'error'
    case 'text':
    case 'reasoning':
      return part.time === undefined || part.time.end !== undefined
    default:
      return true
  }
}
