/**
 * A snapshot of jcode cut up, in one walk over its bytes: where each message stands, and what is left without the long lists. Strings
 * are passed from quote to quote, so what they hold costs little.
 */
import { BACKSLASH, BROKEN, CLOSE_BRACE, CLOSE_BRACKET, COLON, COMMA, isScalar, OPEN_BRACE, OPEN_BRACKET, QUOTE } from './json-bytes.js'
import type { SplitDocument } from './log-adapter.js'
import { Skim } from './skim.js'
import { Words } from './words.js'

interface Range {
  readonly start: number
  readonly end: number
}

interface LongList extends Range {
  /** None of a list that is not the messages'. */
  readonly items: readonly Range[]
}

const MESSAGES = 'messages'
const LONG_LISTS = new Words<string>(
  Object.fromEntries([MESSAGES, 'env_snapshots', 'memory_injections', 'replay_events'].map((name) => [name, name])),
)

/** A prompt longer than so many bytes is left out of what is light; and so many are kept, since the first ones may be jcode's own. */
const PROMPT = 2 ** 16
const PROMPTS = 4

/** The messages of a snapshot, and what is light in it; the first prompts are left in, since a session may go by them. */
export function splitJcode(bytes: Buffer): SplitDocument | undefined {
  const lists = longLists(bytes)
  if (lists === undefined) return undefined
  const messages = lists.get(MESSAGES)?.items ?? []
  let rest: Buffer | undefined
  return {
    messages,
    get rest() {
      rest ??= restOf(bytes, lists, messages)
      return rest
    },
  }
}

function restOf(bytes: Buffer, lists: ReadonlyMap<string, LongList>, messages: readonly Range[]): Buffer {
  const rest: Uint8Array[] = []
  let at = 0
  for (const [name, { start, end }] of [...lists].sort(([, a], [, b]) => a.start - b.start)) {
    rest.push(bytes.subarray(at, start + 1))
    if (name === MESSAGES) rest.push(Buffer.from(promptsAmong(bytes, messages).join(',')))
    at = end - 1
  }
  rest.push(bytes.subarray(at))
  return Buffer.concat(rest)
}

/** By their names; of a list that stands twice the last counts. Undefined when the bytes are not one object, as far as brackets and strings tell. */
function longLists(bytes: Buffer): ReadonlyMap<string, LongList> | undefined {
  const lists = new Map<string, LongList>()
  let at = afterBlanks(bytes, 0)
  if (bytes[at] !== OPEN_BRACE) return undefined
  at = afterBlanks(bytes, at + 1)
  let isOver = bytes[at] === CLOSE_BRACE
  while (!isOver) {
    if (bytes[at] !== QUOTE) return undefined
    const afterName = afterString(bytes, at)
    if (afterName === BROKEN) return undefined
    const name = LONG_LISTS.at(bytes, at + 1, afterName - 1)
    at = afterBlanks(bytes, afterName)
    if (bytes[at] !== COLON) return undefined
    const start = afterBlanks(bytes, at + 1)
    const items: Range[] = []
    const end = name === MESSAGES && bytes[start] === OPEN_BRACKET ? afterNested(bytes, start, items) : afterValue(bytes, start)
    if (end === BROKEN) return undefined
    if (name !== undefined) lists.delete(name)
    if (name !== undefined && bytes[start] === OPEN_BRACKET) lists.set(name, { start, end, items })
    at = afterBlanks(bytes, end)
    isOver = bytes[at] === CLOSE_BRACE
    if (!isOver && bytes[at] !== COMMA) return undefined
    if (!isOver) at = afterBlanks(bytes, at + 1)
  }
  return afterBlanks(bytes, at + 1) === bytes.length ? lists : undefined
}

function afterValue(bytes: Buffer, start: number): number {
  const first = bytes[start]
  if (first === QUOTE) return afterString(bytes, start)
  if (first === OPEN_BRACE || first === OPEN_BRACKET) return afterNested(bytes, start)
  let end = start
  while (end < bytes.length && isScalar(bytes[end] as number)) end++
  return end === start ? BROKEN : end
}

/** Behind the bracket that closes the one at `open`. `items` takes what stands between the commas of the list, without blanks around it. */
function afterNested(bytes: Buffer, open: number, items?: Range[]): number {
  const { length } = bytes
  let depth = 1
  let start = open + 1
  for (let at = open + 1; at < length; at++) {
    const byte = bytes[at] as number
    if (byte === QUOTE) {
      const after = afterString(bytes, at)
      if (after === BROKEN) return BROKEN
      at = after - 1
    } else if (byte === COMMA) {
      if (depth > 1 || items === undefined) continue
      addItem(bytes, start, at, items)
      start = at + 1
    } else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) depth++
    else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
      depth--
      if (depth > 0) continue
      if (items !== undefined) addItem(bytes, start, at, items)
      return at + 1
    }
  }
  return BROKEN
}

function addItem(bytes: Buffer, from: number, to: number, items: Range[]): void {
  let [start, end] = [from, to]
  while (start < end && isBlank(bytes[start])) start++
  while (end > start && isBlank(bytes[end - 1])) end--
  if (start < end) items.push({ start, end })
}

/** Behind the closing quote: the first one with an even number of backslashes before it. */
function afterString(bytes: Buffer, open: number): number {
  for (let quote = bytes.indexOf(QUOTE, open + 1); quote >= 0; quote = bytes.indexOf(QUOTE, quote + 1)) {
    let slash = quote
    while (bytes[slash - 1] === BACKSLASH) slash--
    if ((quote - slash) % 2 === 0) return quote + 1
  }
  return BROKEN
}

function afterBlanks(bytes: Buffer, start: number): number {
  let at = start
  while (bytes[at] === 0x20 || bytes[at] === 0x0a || bytes[at] === 0x0d || bytes[at] === 0x09) at++
  return at
}

function isBlank(byte: number | undefined): boolean {
  return byte === 0x20 || (byte !== undefined && byte >= 0x09 && byte <= 0x0d)
}

const [ROLE, BLOCK] = [0, 1] as const
let others = 0
const message: Skim = new Skim({
  role: ROLE,
  content: {
    each: { type: BLOCK },
    begin: () => {
      others = 0
    },
    end: () => {
      if (ANSWERS.in(message, BLOCK) === undefined) others++
    },
  },
})
const ANSWERS = new Words<true>({ tool_use: true, tool_result: true })
const USER = new Words<true>({ user: true })
const USER_WORD = Buffer.from('"user"')

function promptsAmong(bytes: Buffer, messages: readonly Range[]): readonly string[] {
  const prompts: string[] = []
  /** The first that is said to be a user's may stand here: what ends before is none. */
  let word = 0
  for (const { start, end } of messages) {
    if (word >= 0 && word < start) word = bytes.indexOf(USER_WORD, start)
    if (word < 0 || prompts.length === PROMPTS) break
    if (word < end && end - start <= PROMPT && isAsked(bytes, start, end)) prompts.push(bytes.toString('utf8', start, end))
  }
  return prompts
}

/** Somebody said something in it, and did not answer a tool alone. */
function isAsked(bytes: Buffer, start: number, end: number): boolean {
  return message.whole(bytes, start, end) && USER.in(message, ROLE) === true && others > 0
}
