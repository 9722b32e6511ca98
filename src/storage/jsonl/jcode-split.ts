/** A snapshot of jcode cut up, in one walk over its bytes: where each message stands, and what is left without the long lists. */
import { jsonFlaw } from '../json-damage.js'
import { promptsAmong } from './jcode-prompts.js'
import { afterBlanks, afterMark, afterNested, afterString, afterValue } from './jcode-walk.js'
import { BROKEN, CLOSE_BRACE, COLON, COMMA, OPEN_BRACE, OPEN_BRACKET, QUOTE } from './json-bytes.js'
import type { DocumentRange, SplitDocument } from './log-adapter.js'
import { Words } from './words.js'

/** A field of the snapshot that is not light. */
export interface HeavyField extends DocumentRange {
  /** None of what is no list. */
  readonly items: readonly DocumentRange[]
}

export const MESSAGES = 'messages'
const COMPACTION = 'compaction'

/** Fields of a snapshot that are no messages and not light, and as what each of their items is counted. */
export const LEFT_OUT: ReadonlyMap<string, string> = new Map([
  [COMPACTION, 'summaries for the model, of messages that stand in the log'],
  ['env_snapshots', 'notes on the surroundings'],
  ['memory_injections', 'notes on memories that the model was given'],
  ['replay_events', 'events for a replay'],
])

const NAMES = new Words<string>(Object.fromEntries([MESSAGES, ...LEFT_OUT.keys()].map((name) => [name, name])))

/** The field whose name stands between these places, if it is heavy. */
export function heavyName(bytes: Buffer, from: number, to: number): string | undefined {
  return NAMES.at(bytes, from, to)
}

/** The messages of a snapshot, and what is light in it; the first prompts are left in, since a session may go by them. */
export function splitJcode(bytes: Buffer): SplitDocument | undefined {
  const start = afterMark(bytes)
  const fields = heavyFields(bytes, start)
  if (fields === undefined) return undefined
  if (jsonFlaw(restOf(bytes, start, fields, [])) !== undefined) return undefined
  const messages = fields.get(MESSAGES)?.items ?? []
  if (messages.some((message) => hasSwallowed(bytes, message))) return undefined
  let rest: Buffer | undefined
  return {
    messages,
    others: othersIn(bytes, fields),
    get rest() {
      rest ??= restOf(bytes, start, fields, promptsAmong(bytes, messages))
      return rest
    },
  }
}

/** What most messages begin with, and no string holds unescaped. */
const BEGINNING = Buffer.from('{"id":')

/** Two quotes too many in different messages make one of them and of all between. */
function hasSwallowed(bytes: Buffer, { start, end }: DocumentRange): boolean {
  const inside = bytes.subarray(start, end)
  return inside.indexOf(BEGINNING, 1) >= 0 && jsonFlaw(inside) !== undefined
}

function restOf(bytes: Buffer, from: number, fields: ReadonlyMap<string, HeavyField>, prompts: readonly string[]): Buffer {
  const rest: Uint8Array[] = []
  let at = from
  for (const [name, { start, end }] of [...fields].sort(([, a], [, b]) => a.start - b.start)) {
    if (bytes[start] !== OPEN_BRACKET) continue
    rest.push(bytes.subarray(at, start + 1))
    if (name === MESSAGES) rest.push(Buffer.from(prompts.join(',')))
    at = end - 1
  }
  rest.push(bytes.subarray(at))
  return Buffer.concat(rest)
}

export function othersIn(bytes: Buffer, fields: ReadonlyMap<string, HeavyField>): SplitDocument['others'] {
  return [...fields].flatMap(([name, field]) => {
    const reason = LEFT_OUT.get(name)
    if (reason === undefined) return []
    const items = bytes[field.start] === OPEN_BRACE ? [field] : field.items
    return items.map(({ start, end }) => ({ start, end, reason }))
  })
}

/** By their names; of one that stands twice the last counts. Undefined when the bytes are not one object, as far as brackets and strings tell. */
function heavyFields(bytes: Buffer, from: number): ReadonlyMap<string, HeavyField> | undefined {
  const fields = new Map<string, HeavyField>()
  let at = afterBlanks(bytes, from)
  if (bytes[at] !== OPEN_BRACE) return undefined
  at = afterBlanks(bytes, at + 1)
  let isOver = bytes[at] === CLOSE_BRACE
  while (!isOver) {
    const field = fieldAt(bytes, at)
    if (field === undefined) return undefined
    const { name, start, end, items } = field
    if (name !== undefined) fields.delete(name)
    if (name !== undefined && isHeavy(name, bytes[start])) fields.set(name, { start, end, items })
    at = afterBlanks(bytes, end)
    isOver = bytes[at] === CLOSE_BRACE
    if (!isOver && bytes[at] !== COMMA) return undefined
    if (!isOver) at = afterBlanks(bytes, at + 1)
  }
  return afterBlanks(bytes, at + 1) === bytes.length ? fields : undefined
}

/** A list, or the one that is an object. */
export function isHeavy(name: string, first: number | undefined): boolean {
  return first === OPEN_BRACKET || (first === OPEN_BRACE && name === COMPACTION)
}

/** The field that begins at a quote. Undefined where there is none, as far as brackets and strings tell. */
function fieldAt(bytes: Buffer, at: number): (HeavyField & { readonly name: string | undefined }) | undefined {
  const place = valueAt(bytes, at)
  if (place === undefined) return undefined
  const { name, start } = place
  const items: DocumentRange[] = []
  const isList = name !== undefined && bytes[start] === OPEN_BRACKET
  const end = isList ? afterNested(bytes, start, items) : afterValue(bytes, start)
  return end === BROKEN ? undefined : { name, start, end, items }
}

/** Where the value stands of the field that begins at a quote, and its name if it is heavy. */
export function valueAt(bytes: Buffer, at: number): { readonly name: string | undefined; readonly start: number } | undefined {
  const afterName = bytes[at] === QUOTE ? afterString(bytes, at) : BROKEN
  if (afterName === BROKEN) return undefined
  const colon = afterBlanks(bytes, afterName)
  return bytes[colon] === COLON ? { name: heavyName(bytes, at + 1, afterName - 1), start: afterBlanks(bytes, colon + 1) } : undefined
}
