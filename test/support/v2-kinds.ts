/**
 * Every kind of message of OpenCode 2 (section 6.3 of the format's reference), each field filled, in today's spelling and the older ones.
 * Every text and number is one of its kind, so that a reader which loses one is found out.
 */
import type { Document } from '../../src/core/documents.js'

export interface KindSample {
  /** What it is, in a word or two. */
  readonly name: string
  readonly type: string
  /** Without its type and its time of creation. */
  readonly document: Document
  readonly role: 'user' | 'assistant' | 'unknown'
  /** The kinds of its parts; of tools their state too. */
  readonly parts: readonly string[]
}

let last = 0
const text = (name: string): string => `${name} #${++last}.`
const number = (): number => ++last + 0.5
const span = (): Document => ({ created: ++last, ran: ++last, completed: ++last })
const tokens = (): Document => ({ input: number(), output: number(), reasoning: number(), cache: { read: number(), write: number() } })
const model = (): Document => ({ id: text('model'), providerID: text('provider'), variant: text('variant') })
const error = (): Document => ({ type: text('type'), message: text('message'), status: number() })
const mention = (): Document => ({ text: text('@mention'), start: number(), end: number() })
const metadata = (): Document => ({ [text('key')]: { deep: [text('value')] } })

const file = (more: Document): Document => ({ mime: text('mime'), name: text('name'), description: text('description'), mention: mention(), ...more })

function user(more: Document): Document {
  return { text: text('question'), metadata: metadata(), ...more }
}

const USERS: readonly KindSample[] = [
  {
    name: 'files and agents',
    type: 'user',
    document: user({
      files: [
        file({ data: 'aGVsbG8gIzE=', source: { type: 'inline' } }),
        file({ data: 'aGVsbG8gIzI=', source: { type: 'uri', uri: text('file:///srv/a') } }),
        file({ source: { type: 'uri', uri: text('file:///srv/b') } }),
      ],
      agents: [{ name: text('agent'), mention: mention() }],
      skills: [{ id: text('skill'), mention: mention() }],
    }),
    role: 'user',
    parts: ['text', 'file', 'file', 'file', 'agent'],
  },
  {
    name: 'files and agents, older spelling',
    type: 'user',
    document: user({
      files: [{ uri: text('data:text/plain,'), mime: text('mime'), name: text('name'), source: mention() }],
      agents: [{ name: text('agent'), source: mention() }],
    }),
    role: 'user',
    parts: ['text', 'file', 'agent'],
  },
]

const TOLD: readonly KindSample[] = [
  { name: 'synthetic', type: 'synthetic', document: { text: text('told'), description: text('description'), metadata: metadata() } },
  { name: 'synthetic, older spelling', type: 'synthetic', document: { text: text('told'), sessionID: 'ses_1' } },
  { name: 'system', type: 'system', document: { text: text('told'), description: text('description') } },
  { name: 'skill', type: 'skill', document: { text: text('told'), skill: text('skill'), name: text('name') } },
].map((sample) => ({ ...sample, role: 'user' as const, parts: ['text'] }))

const tool = (state: Document, more: Document = {}): Document => ({
  type: 'tool',
  id: text('call'),
  name: text('tool'),
  state,
  time: span(),
  ...more,
})
const content = (): Document[] => [
  { type: 'text', text: text('printed') },
  { type: 'file', uri: text('data:image/png;base64,'), mime: text('mime'), name: text('name') },
]

const ANSWERS: readonly KindSample[] = [
  {
    name: 'every item and state',
    type: 'assistant',
    document: {
      agent: text('agent'),
      model: model(),
      content: [
        { type: 'text', text: text('said'), native: metadata() },
        { type: 'reasoning', text: text('thought'), native: metadata(), time: { created: number(), completed: number() } },
        { type: 'reasoning', text: text('thought') },
        tool({ status: 'streaming', input: text('{"comm') }, { executed: true, native: metadata(), providerResultState: metadata() }),
        tool({ status: 'running', input: metadata(), metadata: metadata() }),
        tool({ status: 'completed', input: metadata(), content: content(), metadata: metadata() }),
        tool({ status: 'error', input: metadata(), error: error(), content: content(), metadata: metadata() }),
        { type: text('hologram'), depth: number() },
      ],
      snapshot: { start: text('start'), end: text('end'), files: [text('file')] },
      finish: text('finish'),
      rawFinish: text('rawFinish'),
      cost: number(),
      tokens: tokens(),
      error: error(),
      retry: { attempt: number(), at: number(), error: error() },
      native: metadata(),
      metadata: metadata(),
      time: { streamed: number(), completed: number() },
    },
    role: 'assistant',
    parts: ['text', 'reasoning', 'reasoning', 'tool pending', 'tool running', 'tool completed', 'tool error', 'unknown'],
  },
  {
    name: 'every item and state, older spelling',
    type: 'assistant',
    document: {
      agent: text('agent'),
      model: model(),
      content: [
        { type: 'text', id: text('txt'), text: text('said'), state: metadata() },
        { type: 'text', text: text('said'), providerState: metadata() },
        { type: 'reasoning', id: text('rsn'), text: text('thought'), providerMetadata: metadata() },
        tool({ status: 'pending', input: text('{"comm') }, { provider: { executed: true, metadata: metadata(), resultMetadata: metadata() } }),
        tool({ status: 'running', input: metadata(), structured: metadata(), content: [{ type: 'text', text: text('so far') }] }),
        tool({
          status: 'completed',
          input: metadata(),
          structured: metadata(),
          result: text('result'),
          outputPaths: [text('/spill')],
          attachments: [{ uri: text('file:///srv/c'), mime: text('mime'), name: text('name') }],
        }),
        tool({ status: 'completed', input: metadata(), content: [], result: metadata() }, { providerMetadata: metadata() }),
        tool({ status: 'error', input: metadata(), error: text('error'), structured: metadata(), result: metadata() }),
      ],
      providerState: metadata(),
    },
    role: 'assistant',
    parts: ['text', 'text', 'reasoning', 'tool pending', 'tool running', 'tool completed', 'tool completed', 'tool error'],
  },
  {
    name: 'empty',
    type: 'assistant',
    document: { agent: text('agent'), model: { id: text('m'), providerID: text('p') }, content: [] },
    role: 'assistant',
    parts: [],
  },
]

const page = (): Document => ({ output: text('printed'), cursor: number(), size: number(), truncated: false })

const SHELLS: readonly KindSample[] = [
  {
    name: 'exited',
    type: 'shell',
    document: {
      shellID: text('sh'),
      command: text('ls'),
      status: 'exited',
      exit: number(),
      output: page(),
      metadata: metadata(),
      time: { completed: number() },
    },
    parts: ['tool completed'],
  },
  {
    name: 'running',
    type: 'shell',
    document: { shellID: text('sh'), command: text('ls'), status: 'running', output: page() },
    parts: ['tool running'],
  },
  { name: 'killed', type: 'shell', document: { shellID: text('sh'), command: text('ls'), status: text('killed') }, parts: ['tool completed'] },
  {
    name: 'as 1.18 spells it',
    type: 'shell',
    document: { callID: text('call'), command: text('ls'), output: text('printed'), time: { completed: number() } },
    parts: ['tool completed'],
  },
].map((sample) => ({ ...sample, role: 'assistant' as const }))

const COMPACTIONS: readonly KindSample[] = [
  {
    name: 'completed',
    type: 'compaction',
    document: {
      status: 'completed',
      reason: 'auto',
      summary: text('summary'),
      recent: text('recent'),
      model: model(),
      providerContext: metadata(),
      cost: number(),
      tokens: tokens(),
      metadata: metadata(),
    },
    parts: ['compaction', 'text'],
  },
  {
    name: 'running',
    type: 'compaction',
    document: { status: 'running', reason: 'manual', summary: text('summary'), recent: text('recent') },
    parts: ['compaction', 'text'],
  },
  { name: 'failed', type: 'compaction', document: { status: 'failed', reason: 'auto', error: error() }, parts: ['compaction'] },
  {
    name: 'as 1.18 spells it',
    type: 'compaction',
    document: { reason: 'manual', summary: text('summary'), recent: text('recent') },
    parts: ['compaction', 'text'],
  },
].map((sample) => ({ ...sample, role: 'assistant' as const }))

const location = (): Document => ({ directory: text('/srv'), workspaceID: text('wrk') })

const MARKS: readonly KindSample[] = [
  { name: 'agent', type: 'agent-switched', document: { agent: text('agent'), previous: text('agent') } },
  { name: 'agent, the first', type: 'agent-switched', document: { agent: text('agent') } },
  { name: 'model', type: 'model-switched', document: { model: model(), previous: model() } },
  {
    name: 'location',
    type: 'location-switched',
    document: {
      location: location(),
      projectID: text('project'),
      subpath: text('sub'),
      previous: { location: location(), projectID: text('project') },
    },
  },
  ...['succeeded', 'failed', 'interrupted'].map((outcome) => ({ name: outcome, type: 'idle', document: { outcome, metadata: metadata() } })),
  { name: 'of a kind that nobody knows', type: 'telepathy', document: { thought: { deep: text('thought') } } },
].map((sample) => ({ ...sample, role: 'unknown' as const, parts: [] }))

export const V2_KINDS: readonly KindSample[] = [...USERS, ...TOLD, ...ANSWERS, ...SHELLS, ...COMPACTIONS, ...MARKS]

/** Every text and number of a document, and every key that is one of its kind. */
export function leavesOf(value: unknown): readonly (string | number)[] {
  if (typeof value === 'string' || typeof value === 'number') return [value]
  if (Array.isArray(value)) return value.flatMap(leavesOf)
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, member]) => [...(key.includes('#') ? [key] : []), ...leavesOf(member)])
}
