/** One logical corpus, which every kind of store is then written from. */
import type { Document } from '../../src/core/documents.js'

export interface CorpusPart {
  readonly id: string
  /** Without ids. */
  readonly data: Document
  /** Epoch milliseconds. */
  readonly time: number
}

export interface CorpusMessage {
  readonly id: string
  readonly data: Document
  readonly time: number
  readonly parts: readonly CorpusPart[]
}

export interface CorpusSession {
  readonly id: string
  readonly project: string
  /** Without its ids and times. */
  readonly info: Document
  readonly created: number
  readonly updated: number
  readonly messages: readonly CorpusMessage[]
  readonly todos?: readonly Document[]
  readonly diffs?: readonly Document[]
}

export type Corpus = readonly CorpusSession[]

/** When the 48 bits of an id start again. */
export const WRAP = Date.parse('2026-08-14T11:19:55.136Z')
export const DAY = 86_400_000

/** An id as OpenCode generates it; `tail` tells ids of one millisecond apart. */
export function generatedId(prefix: string, time: number, counter = 1, tail = ''): string {
  const ascending = (BigInt(time) * 4096n + BigInt(counter)) & 0xffffffffffffn
  const value = prefix === 'ses' ? ~ascending & 0xffffffffffffn : ascending
  return `${prefix}_${value.toString(16).padStart(12, '0')}${tail.padEnd(14, 'z').slice(0, 14)}`
}

export function userMessage(time: number, texts: readonly string[] = ['Why is the sky blue?']): CorpusMessage {
  const id = generatedId('msg', time, 1, 'u')
  const data = { role: 'user', time: { created: time }, agent: 'build', model: { providerID: 'stub', modelID: 'stub-1' } }
  return { id, data, time, parts: texts.map((text, at) => ({ id: generatedId('prt', time + at, 2), data: { type: 'text', text }, time: time + at })) }
}

export interface AssistantOptions {
  readonly completed?: boolean
  readonly cost?: number
  readonly parts?: readonly Document[]
}

export function assistantMessage(time: number, options: AssistantOptions = {}): CorpusMessage {
  const { completed = true, cost = 0.25, parts = [{ type: 'text', text: 'Rayleigh.', time: { start: time, end: time + 5 } }] } = options
  const data = {
    role: 'assistant',
    time: completed ? { created: time, completed: time + 900 } : { created: time },
    modelID: 'stub-1',
    providerID: 'stub',
    mode: 'build',
    path: { cwd: '/srv/sky', root: '/srv/sky' },
    cost,
    tokens: { input: 60, output: 20, reasoning: 3, cache: { read: 40, write: 7 } },
  }
  const rows = parts.map((part, at) => ({ id: generatedId('prt', time + 10 + at, 3), data: part, time: time + 10 + at }))
  return { id: generatedId('msg', time, 1, 'a'), data, time, parts: rows }
}

/** Turns of a user and an assistant message, a minute apart. */
export function conversation(start: number, turns: number, step = 60_000): CorpusMessage[] {
  return Array.from({ length: turns }, (_, at) => [
    userMessage(start + at * step, [`question ${at}`, 'and more']),
    assistantMessage(start + at * step + 1000),
  ]).flat()
}

export function corpusSession(created: number, messages: readonly CorpusMessage[], more: Partial<CorpusSession> = {}): CorpusSession {
  const last = messages.at(-1)?.time ?? created
  return {
    id: generatedId('ses', created),
    project: 'b0c1309ee409b71c257bdf8e5d96cf91a77ff40b',
    info: { slug: 'swift-engine', directory: '/srv/sky', title: 'The sky', version: '1.1.65' },
    created,
    updated: last,
    messages,
    ...more,
  }
}

const TOOL = {
  type: 'tool',
  callID: 'call_1',
  tool: 'bash',
  state: { status: 'completed', input: { command: 'ls' }, output: 'a\nb', title: 'ls', metadata: {}, time: { start: 1, end: 2 } },
}

/** Everything that the contract looks at: the wrap, a child, hand-made ids, an empty session, unicode, todos, diffs, unknown parts. */
export function sampleCorpus(): readonly [CorpusSession, CorpusSession, ...CorpusSession[]] {
  const parent = corpusSession(WRAP - 3 * DAY, conversation(WRAP - 3 * DAY + 1000, 5), {
    todos: [
      { content: 'look up', status: 'completed', priority: 'high' },
      { content: 'look down', status: 'pending', priority: 'low' },
    ],
    diffs: [{ file: 'a.txt', before: 'a', after: 'ä', additions: 1, deletions: 1 }],
  })
  const across = [...conversation(WRAP - 120_000, 2), ...straddling(), ...conversation(WRAP + 60_000, 2)]
  const child = corpusSession(WRAP - 2 * DAY, conversation(WRAP - 2 * DAY, 1), {
    project: 'global',
    info: { slug: 'neon-forest', directory: '', title: 'Größe 🌲 \u2028 "quoted"', version: '1.1.65', parentID: parent.id },
  })
  const handMade = corpusSession(
    WRAP - DAY,
    [{ id: 'msg-0', data: { role: 'user', time: { created: WRAP - DAY + 5 } }, time: WRAP - DAY + 5, parts: [] }],
    { id: 'test-session-123' },
  )
  return [parent, corpusSession(WRAP - 4 * DAY, across), child, handMade, corpusSession(WRAP - 5 * DAY, [], { id: 'ses_caprockPlan0001' })]
}

/** One message whose parts stand on both sides of the wrap, with a tool, a part of an unknown kind, and one in a bad shape. */
function straddling(): readonly CorpusMessage[] {
  const kinds: readonly Document[] = [
    { type: 'step-start' },
    { type: 'reasoning', text: 'hmm \u{1F914}', time: { start: 1 } },
    TOOL,
    { type: 'hologram', depth: 3 },
    { type: 'text' },
    { type: 'step-finish', reason: 'stop', cost: 0.1, tokens: { input: 1, output: 1, reasoning: 0, cache: { read: 0, write: 0 } } },
  ]
  const message = assistantMessage(WRAP - 3, { parts: [] })
  return [{ ...message, parts: kinds.map((data, at) => ({ id: generatedId('prt', WRAP - 3 + at), data, time: WRAP - 3 + at })) }]
}

/** The session's record as OpenCode's JSON holds it. */
export function sessionDocument({ id, project, info, created, updated }: CorpusSession): Document {
  return { id, projectID: project, ...info, time: { created, updated } }
}
