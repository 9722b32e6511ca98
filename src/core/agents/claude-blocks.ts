/** The content of one message of the API, from the lines that hold its blocks one by one, sometimes more than once. */
import { type Document, isDocument } from '../documents.js'
import { callIn } from './blocks.js'
import { timeIn } from './message-draft.js'

export interface MergedBlock {
  readonly block: unknown
  /** When its line was written, epoch milliseconds. */
  readonly time: number | undefined
}

/**
 * The blocks of all lines in their order. A block that an earlier line has already counts once; of a call that is written again
 * the last version counts, at the place of the first.
 */
export function mergedBlocks(lines: readonly Document[]): readonly MergedBlock[] {
  const merged: MergedBlock[] = []
  for (const { message, timestamp } of lines) {
    const time = timeIn(timestamp)
    const earlier = merged.length
    for (const block of blocksOf(message)) {
      let at = 0
      while (at < earlier && !isSame(merged[at]?.block, block)) at++
      if (at === earlier) merged.push({ block, time })
      else merged[at] = { block, time: merged[at]?.time }
    }
  }
  return merged
}

function blocksOf(message: unknown): readonly unknown[] {
  if (!isDocument(message)) return []
  const { content } = message
  if (Array.isArray(content)) return content
  return content === undefined || content === null ? [] : [content]
}

function isSame(a: unknown, b: unknown): boolean {
  if (!isDocument(a) || !isDocument(b)) return a === b
  if (a.type !== b.type) return false
  const call = callIn(a)
  if (call !== undefined && call.id !== undefined) return call.id === b.id
  if (a.text !== b.text || a.thinking !== b.thinking) return false
  return JSON.stringify(a) === JSON.stringify(b)
}
