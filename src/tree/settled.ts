/** When a message will not change any more, as far as its own record tells. */
import type { Part } from '../core/parts.js'
import type { Message } from '../core/records.js'
import type { LogPosition } from '../storage/store.js'

/**
 * True once an assistant message is completed or failed and none of its tools is still at work.
 * A user message is finished from the start; OpenCode adds a summary to it later, which is no content.
 * Of a log the place of the message tells whether it is complete: not every agent notes its end.
 */
export function isFinished(message: Message, parts: readonly Part[], log?: LogPosition): boolean {
  if (log?.open === true) return false
  if (message.role === 'user' && log === undefined) return true
  if (message.role === 'assistant' && message.time.completed === undefined && message.error === undefined && log === undefined) return false
  return parts.every((part) => part.type !== 'tool' || part.state.status === 'completed' || part.state.status === 'error')
}
