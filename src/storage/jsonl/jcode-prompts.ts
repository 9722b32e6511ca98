/** What of the messages of a jcode snapshot is light: the first that somebody asked. */
import { lightened } from './light-line.js'
import type { DocumentRange } from './log-adapter.js'
import { parsed } from './log-record.js'
import { Skim } from './skim.js'
import { Words } from './words.js'

/** A message longer than so many bytes is kept without the ends of its long strings. */
const LONG = 2 ** 16
/** So many are kept, since the first ones may be jcode's own. */
const PROMPTS = 4

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

/** The first of the messages in which somebody said something, as JSON, without the ends of what is long in them. */
export function promptsAmong(bytes: Buffer, messages: readonly DocumentRange[]): readonly string[] {
  const prompts: string[] = []
  /** The first that is said to be a user's may stand here: what ends before is none. */
  let word = 0
  for (const { start, end } of messages) {
    if (word >= 0 && word < start) word = bytes.indexOf(USER_WORD, start)
    if (word < 0 || prompts.length === PROMPTS) break
    const prompt = word < end && isAsked(bytes, start, end) ? promptIn(bytes, start, end) : undefined
    if (prompt !== undefined) prompts.push(prompt)
  }
  return prompts
}

/** Somebody said something in it, and did not answer a tool alone. */
function isAsked(bytes: Buffer, start: number, end: number): boolean {
  return message.whole(bytes, start, end) && USER.in(message, ROLE) === true && others > 0
}

/** Undefined where it is damaged: then the rest must do without it. */
function promptIn(bytes: Buffer, start: number, end: number): string | undefined {
  const light = end - start <= LONG ? bytes.subarray(start, end) : lightened(bytes, start, end)
  return parsed(light, 0, light.length) === undefined ? undefined : light.toString('utf8')
}
