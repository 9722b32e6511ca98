/** The content of one message of the API, from the lines that hold its blocks one by one, sometimes more than once. */
import { type Document, isDocument } from '../documents.js'
import { callIn } from './blocks.js'
import { jsonOf, timeIn } from './message-draft.js'

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
  const [only] = lines
  if (only !== undefined && lines.length === 1) {
    const time = timeIn(only.timestamp)
    return blocksOf(only.message).map((block) => ({ block, time }))
  }
  const merged: MergedBlock[] = []
  const earlier = new Places()
  for (const [number, { message, timestamp }] of lines.entries()) {
    const time = timeIn(timestamp)
    const first = merged.length
    for (const block of blocksOf(message)) {
      const at = number === 0 ? undefined : earlier.find(block)
      if (at === undefined) merged.push({ block, time })
      else merged[at] = { block, time: merged[at]?.time }
    }
    if (number === lines.length - 1) break
    for (let at = first; at < merged.length; at++) earlier.add(merged[at]?.block, at)
  }
  return merged
}

function blocksOf(message: unknown): readonly unknown[] {
  if (!isDocument(message)) return []
  const { content } = message
  if (Array.isArray(content)) return content
  return content === undefined || content === null ? [] : [content]
}

/** Blocks that may be the same. */
interface Alike {
  readonly blocks: (readonly [block: unknown, at: number])[]
  /** Of so many of them is known what they are. */
  known: number
  readonly places: Map<string, number>
}

/** Where blocks stand, by what they say: written out in whole only where type and length do not tell them apart. */
class Places {
  readonly #alike = new Map<string, Alike>()

  add(block: unknown, at: number): void {
    const sort = sortOf(block)
    const alike = this.#alike.get(sort) ?? { blocks: [], known: 0, places: new Map<string, number>() }
    this.#alike.set(sort, alike)
    alike.blocks.push([block, at])
  }

  find(block: unknown): number | undefined {
    const alike = this.#alike.get(sortOf(block))
    if (alike === undefined) return undefined
    const { blocks, places } = alike
    for (; alike.known < blocks.length; alike.known++) {
      const [other, at] = blocks[alike.known] as readonly [unknown, number]
      const name = nameOf(other)
      if (name !== undefined && !places.has(name)) places.set(name, at)
    }
    const name = nameOf(block)
    return name === undefined ? undefined : places.get(name)
  }
}

function sortOf(block: unknown): string {
  if (!isDocument(block)) return typeof block
  const { type, text, thinking } = block
  const said = typeof text === 'string' ? text : thinking
  return `${typeof type === 'string' ? type : ''} ${typeof said === 'string' ? said.length : ''} ${calledBy(block) ?? ''}`
}

/** Undefined: it is like no other. */
function nameOf(block: unknown): string | undefined {
  return calledBy(block) ?? jsonOf(block)
}

function calledBy(block: unknown): string | undefined {
  const id = callIn(block)?.id
  return typeof id === 'string' ? id : undefined
}
