/** A small corpus of sessions as people and models said them, before any agent wrote it down. Its dialects: log-dialects.ts. */

export type Block =
  | { readonly text: string }
  | { readonly thought: string }
  /** Base64 of a PNG. */
  | { readonly image: string }
  | { readonly call: string; readonly tool: string; readonly input: object; readonly answer?: string; readonly failed?: boolean }

export interface Saying {
  /** Unique in its session. */
  readonly id: string
  /** 'unknown': of a kind that no reader knows. */
  readonly role: 'user' | 'assistant' | 'unknown'
  /** Epoch milliseconds. */
  readonly time: number
  readonly blocks: readonly Block[]
  /** The message that it follows, where logs have a tree. @default the one before */
  readonly after?: string
}

export interface SaidSession {
  /** A uuid. */
  readonly id: string
  readonly title: string
  readonly cwd: string
  /** Epoch milliseconds. */
  readonly created: number
  readonly sayings: readonly Saying[]
  /** The session that it comes from. */
  readonly parent?: string
  /** How its file is written. @default '\n' */
  readonly newline?: '\n' | '\r\n'
  readonly mark?: boolean
  /** Blank lines are strewn in. */
  readonly blanks?: boolean
}

export type SaidCorpus = readonly [SaidSession, SaidSession, SaidSession, SaidSession]

export const MODEL = 'model-1'
const START = Date.parse('2026-03-01T10:00:00.000Z')
const PIXEL = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='

const uuid = (n: number): string => `0000000${n}-1111-4222-8333-444444444444`
const at = (second: number): number => START + second * 1000
export const asked = (id: string, second: number, text: string, ...more: readonly Block[]): Saying => ({
  id,
  role: 'user',
  time: at(second),
  blocks: [{ text }, ...more],
})
export const told = (id: string, second: number, ...blocks: readonly Block[]): Saying => ({ id, role: 'assistant', time: at(second), blocks })

/**
 * Two steps of a model never follow one another without an answer between them, and the last message of a session has no calls: then every
 * agent has the same messages, and the last one tells when the session was written to last.
 */
export const CORPUS: SaidCorpus = [
  {
    id: uuid(1),
    title: 'Größe, 大きさ & 🧵',
    cwd: '/work/app',
    created: at(0),
    sayings: [
      asked('a0000001', 1, 'How big is it? "quoted" \\ back\nsecond line'),
      told(
        'a0000002',
        2,
        { thought: 'Ich schaue nach 🤔' },
        { text: 'I look.' },
        { call: 'c-1', tool: 'bash', input: { command: 'du' }, answer: '4.0K\n' },
      ),
      told('a0000003', 4, { text: 'Four.' }),
      asked('a0000004', 5, 'And this?', { image: PIXEL }),
      told(
        'a0000005',
        6,
        { text: 'Two at once.' },
        { call: 'c-2', tool: 'read', input: { path: '/x/ü' }, answer: 'zwölf' },
        { call: 'c-3', tool: 'bash', input: { command: 'false' }, answer: 'exit 1', failed: true },
      ),
      { ...asked('a0000006', 8, 'Another way, please.'), after: 'a0000003' },
      told('a0000007', 9, { thought: 'Short.' }, { text: 'Done \u{1f9f5}.' }),
    ],
  },
  {
    id: uuid(2),
    title: 'With carriage returns',
    cwd: '/work/windows',
    created: at(100),
    newline: '\r\n',
    sayings: [
      asked('b0000001', 101, 'one\r\ntwo'),
      told('b0000002', 102, { call: 'c-9', tool: 'bash', input: {}, answer: '' }),
      told('b0000003', 104, { text: 'ok' }),
    ],
  },
  {
    id: uuid(3),
    title: 'With a mark, blank lines and a stranger',
    cwd: '/work/strange',
    created: at(200),
    mark: true,
    blanks: true,
    sayings: [
      asked('d0000001', 201, 'hello'),
      { id: 'd0000002', role: 'unknown', time: at(202), blocks: [] },
      told('d0000003', 203, { text: 'hello to you' }),
    ],
  },
  {
    id: uuid(4),
    title: 'A child',
    cwd: '/work/app',
    created: at(50),
    parent: uuid(1),
    sayings: [asked('e0000001', 51, 'Look at the tests.'), told('e0000002', 52, { text: 'They pass.' })],
  },
]

/** What comes next in a session: a question, an answer with a call, and the end. */
export function moreOf(session: SaidSession, rounds = 1): SaidSession {
  const sayings = [...session.sayings]
  for (let round = 0; round < rounds; round++) {
    const [n, second] = [sayings.length, ((sayings.at(-1)?.time ?? START) - START) / 1000 + 1]
    const id = (k: number): string => `f${String(n + k).padStart(7, '0')}`
    sayings.push(
      asked(id(0), second, `more ${n}`),
      told(id(1), second + 1, { text: 'wait' }, { call: `call-${n}`, tool: 'bash', input: { n }, answer: `answer ${n}` }),
      told(id(2), second + 3, { text: `that was ${n}` }),
    )
  }
  return { ...session, sayings }
}

/** A message in few words, the same whoever wrote it. `parent` is its place among the messages, -1 of a root. */
export interface PlainMessage {
  readonly role: string
  readonly created: number
  readonly parent: number
  readonly parts: readonly string[]
}

/** What must come of a session. Without a tree each message follows the one before. */
export function plainSayings({ sayings }: SaidSession, hasTree: boolean): readonly PlainMessage[] {
  return sayings.map(({ role, time, blocks, after }, place) => ({
    role,
    created: role === 'unknown' ? 0 : time,
    parent: after === undefined || !hasTree ? place - 1 : sayings.findIndex(({ id }) => id === after),
    parts: blocks.map(plainBlock),
  }))
}

function plainBlock(block: Block): string {
  if ('text' in block) return `text ${block.text}`
  if ('thought' in block) return `reasoning ${block.thought}`
  if ('image' in block) return `file image/png data:image/png;base64,${block.image}`
  const { call, tool, input, answer, failed } = block
  const status = answer === undefined ? 'running' : failed === true ? 'error' : 'completed'
  return `tool ${call} ${tool} ${JSON.stringify(input)} ${status} ${answer ?? ''}`
}
