/** The active branch of a session whose messages form a tree. */
import type { MessageId } from '../core/ids.js'
import type { SessionHydratedTree } from './types.js'

/** Messages in the order of their log. */
export interface PlacedMessages {
  readonly messages: readonly Pick<SessionHydratedTree['messages'][number], 'key' | 'log'>[]
}

/**
 * The messages from the root to the active leaf: the one that was appended last, those of subagents and damaged lines aside, or where the log went
 * after it (`LogPosition.leaf`). A parent that is not among the messages, or that was passed already, ends the path. All messages where they form no
 * tree (OpenCode).
 */
export function activePath({ messages }: PlacedMessages): readonly MessageId[] {
  if (messages.every(({ log }) => log === undefined)) return messages.map(({ key }) => key.message)
  const parents = new Map(messages.map(({ key, log }) => [key.message, log?.parent]))
  const path = new Set<MessageId>()
  for (let at = leafOf(messages); at !== undefined && parents.has(at) && !path.has(at); at = parents.get(at)) path.add(at)
  return [...path].reverse()
}

function leafOf(messages: PlacedMessages['messages']): MessageId | undefined {
  const last = messages.findLast(({ log }) => log?.trait !== 'sidechain' && log?.trait !== 'damaged') ?? messages.at(-1)
  return last?.log?.leaf === undefined ? last?.key.message : (last.log.leaf ?? undefined)
}
