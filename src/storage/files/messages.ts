/** Lists of messages in a tree of files: what is new in one since it was last listed, and which message is the last. */
import type { StageIssue } from '../../core/stage.js'
import type { Listing, MessageEntry } from '../store.js'

/** Which of the previous entries are still there, and which names are new. */
export function sinceListed(previous: readonly MessageEntry[], names: readonly string[]): readonly [readonly MessageEntry[], readonly string[]] {
  // Folders are listed in the order of the names, which is that of time but for a wrap: then the new ones are the last.
  if (previous.every(({ id }, at) => id === names[at])) return [previous, names.slice(previous.length)]
  const left = new Set(names)
  const held = previous.filter(({ id }) => left.delete(id))
  return [held, [...left]]
}

/** The one created last; undefined for none. */
export function lastCreated(entries: readonly MessageEntry[]): MessageEntry | undefined {
  let last: MessageEntry | undefined
  for (const entry of entries) if (last === undefined || entry.created > last.created) last = entry
  return last
}

/** What was listed, whole unless there are issues. */
export function listing<T>(entries: readonly T[], issues: readonly StageIssue[]): Listing<T> {
  return { entries, issues, complete: issues.length === 0 }
}
