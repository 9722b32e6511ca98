/** The texts of an item of Codex that are no marks of images, found in the bytes of its line. One line at a time: the last that was looked at. */
import { crc32 } from 'node:zlib'
import { isImageMark, isToldByAgent } from '../../core/agents/codex-text.js'
import { BACKSLASH } from './json-bytes.js'
import { Skim, type Skimmed } from './skim.js'
import type { SkimItems } from './skim-shape.js'

/** Where each begins and ends, one after the other, in their quotes. */
const found: number[] = []

const BLOCKS: SkimItems = {
  each: { text: 0 },
  end: ({ from, to }: Skimmed) => {
    const [start, end] = [from[0] as number, to[0] as number]
    if (start >= 0 && !isImageMark(beginning(start, end))) found.push(start, end)
  },
}
const texts = new Skim({ content: BLOCKS, summary: BLOCKS, payload: { content: BLOCKS, summary: BLOCKS, item: { content: BLOCKS } } })

export function findText(bytes: Buffer, start: number, end: number): void {
  found.length = 0
  texts.run(bytes, start, end)
}

/** What the model writes for the program at the end of a text, which leaves it out of what it shows. */
const PLAN = Buffer.from('<proposed_plan>')
const PLAN_END = Buffer.from('</proposed_plan>')
const SOURCES = Buffer.from('<oai-mem-citation')

/** Of each text that was found, of what is shown of it, of the plan in it, and, last, of all together. */
export function textSums(): readonly number[] {
  const { bytes } = texts
  const sums: number[] = []
  let whole = 0
  for (let at = 0; at < found.length; at += 2) {
    const [from, to] = [(found[at] as number) + 1, (found[at + 1] as number) - 1]
    note(sums, bytes, from, to)
    if (found.length > 2)
      whole = crc32(bytes.subarray(at === 0 ? firstOf(bytes, from, to) : from, at + 2 === found.length ? lastOf(bytes, from, to) : to), whole)
    if (bytes[lastOf(bytes, from, to) - 1] !== TAG_END) continue
    const said = bytes.subarray(from, to)
    const plan = said.indexOf(PLAN)
    const sources = said.indexOf(SOURCES)
    if (plan >= 0) note(sums, bytes, from + plan + PLAN.length, from + Math.max(plan + PLAN.length, said.indexOf(PLAN_END)))
    for (const shown of [plan, sources]) if (shown >= 0) note(sums, bytes, from, from + shown)
  }
  if (found.length > 2) sums.push(whole)
  return sums
}

function note(sums: number[], bytes: Buffer, from: number, to: number): void {
  const sum = sumOf(bytes, from, to)
  if (sum !== undefined) sums.push(sum)
}

/** Of a text as it is escaped, from behind its opening quote to its closing one, without the blanks around it. Undefined: there is nothing else. */
export function sumOf(bytes: Buffer, from: number, to: number): number | undefined {
  const end = lastOf(bytes, from, to)
  const start = firstOf(bytes, from, end)
  return end > start ? crc32(bytes.subarray(start, end)) : undefined
}

/** Where a text begins without the blanks before it. */
function firstOf(bytes: Buffer, from: number, to: number): number {
  let start = from
  while (start < to) {
    if (bytes[start] === SPACE) start++
    else if (bytes[start] === BACKSLASH && isBreak(bytes[start + 1])) start += 2
    else break
  }
  return start
}

/** Where a text ends without the blanks behind it. */
function lastOf(bytes: Buffer, from: number, to: number): number {
  let end = to
  while (end > from) {
    if (bytes[end - 1] === SPACE) end--
    else if (isBreak(bytes[end - 1]) && isEscaped(bytes, from, end - 1)) end -= 2
    else break
  }
  return end
}

const SPACE = 0x20
const TAG_END = 0x3e

/** The letter of an escaped line feed, carriage return or tab. */
function isBreak(byte: number | undefined): boolean {
  return byte === 0x6e || byte === 0x72 || byte === 0x74
}

function isEscaped(bytes: Buffer, start: number, at: number): boolean {
  let slash = at
  while (slash > start && bytes[slash - 1] === BACKSLASH) slash--
  return (at - slash) % 2 === 1
}

/** By its beginning: Codex itself writes in the user's name too. */
export function isTypedText(): boolean {
  const [from, to] = found
  return from === undefined || to === undefined || !isToldByAgent(beginning(from, to))
}

/** What a review found, which Codex writes into the conversation. */
export function isOfReview(): boolean {
  const [from, to] = found
  return from !== undefined && to !== undefined && beginning(from, to).startsWith('<user_action>')
}

/** Of a text in its quotes, so many bytes; line breaks that stand before it are escaped there. */
const BEGINNING = 64

function beginning(from: number, to: number): string {
  return texts.bytes.toString('utf8', from + 1, Math.min(to - 1, from + 1 + BEGINNING)).replace(/^(\\[nrt]|\s)+/, '')
}
