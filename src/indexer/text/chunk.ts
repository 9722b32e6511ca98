/**
 * Cuts the sections of a message into chunks of about one size, at the strongest boundary near the end of each.
 *
 * Invariants: only whitespace between two chunks is left out, everything else is in exactly one chunk, in order;
 * no chunk is empty, begins or ends in whitespace, or is longer than the limit. The same sections give the same chunks.
 */
import { checkNumber } from '../../core/options.js'

/** In UTF-16 units. */
export const CHUNK_CHARACTERS = 1600
const SHORTEST_LIMIT = 64

export function chunkSections(sections: readonly string[], limit = CHUNK_CHARACTERS): readonly string[] {
  checkNumber('chunkCharacters', limit, SHORTEST_LIMIT)
  const kept = sections.map((section) => section.trim()).filter((section) => section !== '')
  const text = kept.join('\n\n')
  const ends = sectionEnds(kept)
  const chunks: string[] = []
  let start = 0
  let section = 0
  while (text.length - start > limit) {
    while ((ends[section] ?? Number.POSITIVE_INFINITY) <= start) section++
    const end = cutWithin(text, start, limit, lastWithin(ends, section, start + limit))
    chunks.push(text.slice(start, end).trimEnd())
    start = afterSpace(text, end)
  }
  if (start < text.length) chunks.push(text.slice(start))
  return chunks
}

/** A text that is too long for the embedder, cut at the strongest boundary near its middle; undefined when it is too short to be cut. */
export function cutInHalves(text: string): readonly [string, string] | undefined {
  if (text.length <= SHORTEST_LIMIT) return undefined
  // Room beyond the middle for a boundary; no part is less than a fifth of the text.
  const end = cutWithin(text, 0, Math.floor((text.length * 5) / 8), -1)
  const halves = [text.slice(0, end).trimEnd(), text.slice(end).trimStart()] as const
  return halves.every((half) => half !== '') ? halves : undefined
}

/** Where each section ends in the joined text, but for the last. */
function sectionEnds(sections: readonly string[]): readonly number[] {
  let end = -2
  return sections.slice(0, -1).map((section) => (end += section.length + 2))
}

/** The greatest end from `first` on that is at most `limit`; ends between two chunks are few, so they are walked. */
function lastWithin(ends: readonly number[], first: number, limit: number): number {
  let best = -1
  for (let i = first; i < ends.length && (ends[i] ?? 0) <= limit; i++) best = ends[i] ?? -1
  return best
}

/** The strongest boundary in (start, start + limit]. A stronger one may leave the chunk shorter than a weaker one may. */
function cutWithin(text: string, start: number, limit: number, sectionEnd: number): number {
  const last = start + limit
  if (sectionEnd >= start + limit / 4) return sectionEnd
  const window = text.slice(start, last + 2)
  const paragraph = window.lastIndexOf('\n\n', limit)
  if (paragraph >= limit / 3) return start + paragraph
  const line = window.lastIndexOf('\n', limit)
  if (line >= limit / 2) return start + line
  const half = Math.floor(start + limit / 2)
  return lastSentence(text, half, last) ?? lastSpace(text, half, last) ?? hardCut(text, last)
}

const SPACE = /\s/
const STOP = /[.!?…:;]/
const FULL_WIDTH_STOP = /[。！？]/

function lastSentence(text: string, first: number, last: number): number | undefined {
  for (let i = last; i > first; i--) {
    const before = text.charAt(i - 1)
    if (FULL_WIDTH_STOP.test(before) || (STOP.test(before) && SPACE.test(text.charAt(i)))) return i
  }
  return undefined
}

function lastSpace(text: string, first: number, last: number): number | undefined {
  for (let i = last; i > first; i--) if (SPACE.test(text.charAt(i))) return i
  return undefined
}

/** What continues the character before it: marks, joiners, skin tones, the second half of a flag. */
const CONTINUES = /^(?:\p{M}|\u200d|[\u{1f3fb}-\u{1f3ff}]|[\u{1f1e6}-\u{1f1ff}])/u
const LONGEST_CLUSTER = 32

/** Between two characters as readers see them, unless one of them is absurdly long; never inside a surrogate pair. */
function hardCut(text: string, last: number): number {
  for (let i = last; i > last - LONGEST_CLUSTER; i--) {
    if (!splitsPair(text, i) && text.charAt(i - 1) !== '\u200d' && !CONTINUES.test(text.slice(i, i + 2))) return i
  }
  return splitsPair(text, last) ? last - 1 : last
}

function splitsPair(text: string, at: number): boolean {
  const isHigh = (text.charCodeAt(at - 1) & 0xfc00) === 0xd800
  return isHigh && (text.charCodeAt(at) & 0xfc00) === 0xdc00
}

function afterSpace(text: string, from: number): number {
  let at = from
  while (at < text.length && SPACE.test(text.charAt(at))) at++
  return at
}
