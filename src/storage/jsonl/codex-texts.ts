/** The first text of an item of Codex that is no mark of an image, found in the bytes of its line. One at a time: the last that was looked for. */
import { crc32 } from 'node:zlib'
import { isImageMark, isToldByAgent } from '../../core/agents/codex-text.js'
import { Skim, type Skimmed } from './skim.js'
import type { SkimItems } from './skim-shape.js'

const found = { from: -1, to: -1 }

const BLOCKS: SkimItems = {
  each: { text: 0 },
  end: ({ from, to }: Skimmed) => {
    if (found.from >= 0 || isImageMark(beginning(from[0] as number, to[0] as number))) return
    found.from = from[0] as number
    found.to = to[0] as number
  },
}
const texts = new Skim({ content: BLOCKS, summary: BLOCKS, payload: { content: BLOCKS, summary: BLOCKS } })

export function findText(bytes: Buffer, start: number, end: number): void {
  found.from = -1
  texts.run(bytes, start, end)
}

/** Of the bytes of the text, as they are escaped; undefined where there is none. */
export function textChecksum(): number | undefined {
  return found.from < 0 ? undefined : crc32(texts.bytes.subarray(found.from, found.to))
}

/** By its beginning: Codex itself writes in the user's name too. */
export function isTypedText(): boolean {
  return found.from < 0 || !isToldByAgent(beginning(found.from, found.to))
}

/** Of a text in its quotes, so many bytes; line breaks that stand before it are escaped there. */
const BEGINNING = 64

function beginning(from: number, to: number): string {
  if (from < 0) return ''
  return texts.bytes.toString('utf8', from + 1, Math.min(to - 1, from + 1 + BEGINNING)).replace(/^(\\[nrt]|\s)+/, '')
}
