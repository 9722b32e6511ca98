/** The beginning of what was asked, short enough to stand for a title. */
import { isDocument } from '../../core/documents.js'

/** In UTF-16 code units. */
const LONGEST = 200

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
    if (line !== '') return line.length <= LONGEST ? line : `${whole(line.slice(0, LONGEST - 1))}…`
  }
  return undefined
}

/** Without half a character at its end. */
function whole(text: string): string {
  const last = text.charCodeAt(text.length - 1)
  return last >= 0xd800 && last <= 0xdbff ? text.slice(0, -1) : text
}
