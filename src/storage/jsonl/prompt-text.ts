/** The beginning of what was asked, on one line, and of that what stands for a title. */
import { isDocument } from '../../core/documents.js'

/** In UTF-16 code units, as the one below. */
const LONGEST = 1000
const LONGEST_TITLE = 200

/** Blanks that are more, or another one, than a space: of the others there are a hundred in every prompt. */
const BLANKS = /\s\s+|[^\S ]/g

/** Of a text or of a list of blocks the first text that `counts`; on one line, cut where it is long. Undefined when there is none. */
export function promptIn(content: unknown, counts: (text: string) => boolean = () => true): string | undefined {
  const blocks = Array.isArray(content) ? content : [content]
  for (const block of blocks) {
    const text = isDocument(block) && block.type === 'text' ? block.text : block
    if (typeof text !== 'string' || !counts(text)) continue
    // Much of a long text may be blanks, so more than is kept is looked at.
    const line = whole(text.slice(0, 4 * LONGEST))
      .replace(BLANKS, ' ')
      .trim()
    if (line !== '') return cut(line, LONGEST)
  }
  return undefined
}

/** Of a prompt that `promptIn` gave. */
export function titleOfPrompt(prompt: string): string {
  return cut(prompt, LONGEST_TITLE)
}

function cut(line: string, longest: number): string {
  return line.length <= longest ? line : `${whole(line.slice(0, longest - 1))}…`
}

/** Without half a character at its end. */
function whole(text: string): string {
  const last = text.charCodeAt(text.length - 1)
  return last >= 0xd800 && last <= 0xdbff ? text.slice(0, -1) : text
}
