/** The fields of Codex's lines, and a line as the functions that read it pass it on. */
import { LINES } from './codex-kinds.js'
import type { CodexNotes } from './codex-notes.js'
import { type Fields, LineFields } from './line-fields.js'
import type { LogIndex, LogLine } from './log-index.js'
import type { SkimShape } from './skim-shape.js'

export const [TIME, TYPE, KIND, ROLE, CALL, ID, FORK, TURN, COUNT, USAGE, TEXT, STATE, ITEM, ITEM_TEXT, REVIEW] = [
  0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
] as const

const PAYLOAD: SkimShape = {
  type: KIND,
  role: ROLE,
  call_id: CALL,
  id: ID,
  forked_from_id: FORK,
  turn_id: TURN,
  num_turns: COUNT,
  info: USAGE,
  message: TEXT,
  text: TEXT,
  item: { type: ITEM, text: ITEM_TEXT },
  review_output: REVIEW,
}

export const wrapped = new LineFields({ timestamp: TIME, type: TYPE, payload: PAYLOAD })

/** What is told from its document; of all else the bytes are compared, or say enough. */
export const isParsed = (): boolean => {
  const kind = wrapped.now.word(LINES, TYPE)
  return kind === 'item' || kind === 'context'
}

/** Lines of the first versions are the items themselves. */
export const bare = new LineFields({ timestamp: TIME, type: KIND, role: ROLE, call_id: CALL, id: ID, record_type: STATE, payload: TYPE })

export interface Reading {
  readonly found: Fields
  readonly bytes: Buffer
  readonly line: LogLine
  readonly log: LogIndex
  readonly notes: CodexNotes
  readonly start: number
  readonly end: number
  /** Of a line that was held back: when it was written. Null: it does not say. */
  readonly written?: number | null
}
