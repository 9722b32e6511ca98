/** When a message will not change any more, as far as its own record tells. */
import type { Part } from '../core/parts.js'
import type { Message } from '../core/records.js'

/**
 * True once an assistant message is completed or failed and none of its tools is still at work.
 * A user message is finished from the start; OpenCode adds a summary to it later, which is no content.
 */
export function isFinished(message: Message, parts: readonly Part[]): boolean {
  if (message.role === 'user') return true
  if (message.role === 'assistant' && message.time.completed === undefined && message.error === undefined) return false
  return parts.every((part) => part.type !== 'tool' || part.state.status === 'completed' || part.state.status === 'error')
}
