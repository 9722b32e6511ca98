/** Which of Claude Code's lines are of the conversation, which hold a title, and which may be a prompt: by their bytes. */
import { type Document, isDocument } from '../../core/documents.js'
import { begins } from './json-bytes.js'
import { Skim } from './skim.js'

const PARENT_FIRST = Buffer.from('{"parentUuid"')
const TYPE_FIRST = Buffer.from('{"type":"')
const TITLES = ['summary"', 'custom-title"', 'ai-title"', 'tag"'].map((text) => Buffer.from(text))
const SPOKEN = ['user"', 'assistant"', 'system"', 'attachment"'].map((text) => Buffer.from(text))
const TYPE = new Skim({ type: 0, message: 1 })

export function kindOf(bytes: Buffer, start: number, end: number): 'spoken' | 'title' | undefined {
  if (begins(bytes, start, end, PARENT_FIRST)) return 'spoken'
  let name = start + TYPE_FIRST.length
  if (!begins(bytes, start, end, TYPE_FIRST)) {
    TYPE.run(bytes, start, end)
    name = TYPE.has(0) ? (TYPE.from[0] as number) + 1 : end
    if (!TYPE.has(0) && TYPE.has(1)) return 'spoken'
  }
  if (isAmong(SPOKEN, bytes, name, end)) return 'spoken'
  return isAmong(TITLES, bytes, name, end) ? 'title' : undefined
}

function isAmong(texts: readonly Buffer[], bytes: Buffer, start: number, end: number): boolean {
  for (const text of texts) if (begins(bytes, start, end, text)) return true
  return false
}

/** The type of the first block of the content; undefined where that is a text. */
let firstBlock: string | undefined
let blocks = 0

const ASKED = new Skim({
  type: 0,
  message: {
    role: 1,
    content: {
      each: { type: 2 },
      begin: () => {
        blocks = 0
        firstBlock = undefined
      },
      end: () => {
        if (blocks++ === 0) firstBlock = ASKED.text(2)
      },
    },
  },
})

/** Whether a line may be a prompt: a user's that does not begin with the answer of a tool. */
export function mayAsk(bytes: Buffer, start: number, end: number): boolean {
  ASKED.run(bytes, start, end)
  return (ASKED.has(0) ? ASKED.text(0) : ASKED.text(1)) === 'user' && firstBlock !== 'tool_result'
}

/** As `mayAsk` says of its bytes. */
export function asks({ type, message }: Document): boolean {
  const { role, content } = isDocument(message) ? message : {}
  const first = Array.isArray(content) ? content.find(isDocument) : undefined
  return (type === undefined ? role : type) === 'user' && first?.type !== 'tool_result'
}
