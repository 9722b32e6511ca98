/** What agents write line by line, at random: every kind of line that a reader puts together with others, in orders that happen and in worse ones. */
import type { Agent } from '../../src/core/keys.js'

export type LogAgent = Exclude<Agent, 'opencode'>

/** Gives numbers below `bound`. */
export type Pick = (bound: number) => number

/** The same numbers for the same seed. */
export function pickFrom(seed: number): Pick {
  let state = seed >>> 0
  return (bound) => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % bound
  }
}

/** A session of one agent that somebody goes on writing. */
export interface GrowingLog {
  /** Below the root that is opened. */
  readonly path: string
  readonly session: string
  /** What a log begins with. */
  head(): string[]
  /** The next lines; with `calls` one message that calls so many tools. */
  next(pick: Pick, calls?: number): string[]
}

const SESSION = '0a0b0c0d-1111-4222-8333-444444444444'
const START = Date.parse('2026-03-01T10:00:00.000Z')

/** Time, ids and open calls of one log. */
class Told {
  readonly ids: string[] = []
  readonly calls: string[] = []
  #count = 0
  #time = START

  id(prefix: string): string {
    const id = `${prefix}${(++this.#count).toString(16).padStart(8, '0')}`
    this.ids.push(id)
    return id
  }

  /** Now and then two lines have the same time. */
  time(pick: Pick): string {
    this.#time += pick(4) === 0 ? 0 : 1000
    return new Date(this.#time).toISOString()
  }

  call(): string {
    const id = `call_${++this.#count}`
    this.calls.push(id)
    return id
  }

  /** Mostly one that is open, of those sometimes the oldest; else one that nobody made. */
  answered(pick: Pick): string {
    const { calls } = this
    if (calls.length === 0 || pick(60) === 0) return `call_stray${pick(50)}`
    const at = pick(3) === 0 ? 0 : pick(calls.length)
    return calls.splice(at, 1)[0] as string
  }

  /** Whether an answer comes at all; rarely one that nobody waits for. */
  isAsked(pick: Pick): boolean {
    return this.calls.length > 0 || pick(30) === 0
  }

  /** Mostly the newest id; else one that is long past, or none that is there. */
  parent(pick: Pick): string | null {
    const { ids } = this
    const what = pick(50)
    if (ids.length === 0 || what === 0) return null
    if (what === 1) return 'ffffffff'
    return (what < 5 ? ids[pick(ids.length)] : ids.at(-1)) ?? null
  }
}

const words = (pick: Pick): string => `words ${pick(1000)} ${'and more '.repeat(pick(6))}`
const textsOf = (lines: readonly object[]): string[] => lines.map((line) => JSON.stringify(line))
const listOf = <T>(count: number, make: () => T): T[] => Array.from({ length: count }, make)

function growingPi(): GrowingLog {
  const told = new Told()
  const entry = (pick: Pick, fields: object): object => {
    const parentId = told.parent(pick)
    return { type: 'message', id: told.id(''), parentId, timestamp: told.time(pick), ...fields }
  }
  const calling = (calls: number): object[] =>
    listOf(calls, () => ({ type: 'toolCall', id: told.call(), name: 'bash', arguments: { command: 'ls' } }))
  return {
    path: `--w--/2026-03-01T10-00-00-000Z_${SESSION}.jsonl`,
    session: SESSION,
    head: () => textsOf([{ type: 'session', version: 3, id: SESSION, timestamp: new Date(START).toISOString(), cwd: '/w' }]),
    next(pick, calls) {
      const kind = calls === undefined ? pick(8) : 2
      const text = { type: 'text', text: words(pick) }
      if (kind < 2) return textsOf([entry(pick, { message: { role: 'user', content: text.text } })])
      if (kind < 4)
        return textsOf([entry(pick, { message: { role: 'assistant', content: [text, ...calling(calls ?? pick(3))], stopReason: 'stop' } })])
      if (kind < 6 && told.isAsked(pick)) {
        const toolCallId = told.answered(pick)
        return textsOf([entry(pick, { message: { role: 'toolResult', toolCallId, toolName: 'bash', content: [text], isError: pick(4) === 0 } })])
      }
      if (kind === 6) return textsOf([entry(pick, { type: 'model_change', provider: 'acme', modelId: 'm' })])
      return textsOf([entry(pick, { type: pick(2) === 0 ? 'hologram' : 'compaction', summary: words(pick) })])
    },
  }
}

function growingClaude(): GrowingLog {
  const told = new Told()
  let replies = 0
  const line = (pick: Pick, type: string, fields: object): object => {
    const parentUuid = told.parent(pick)
    const uuid = `${told.id('')}-0000-4000-8000-000000000000`
    told.ids[told.ids.length - 1] = uuid
    return {
      parentUuid,
      isSidechain: pick(9) === 0,
      cwd: '/w',
      sessionId: SESSION,
      version: '2.1.0',
      type,
      ...fields,
      uuid,
      timestamp: told.time(pick),
    }
  }
  const reply = (pick: Pick, id: string, block: object, stop: string | null): object =>
    line(pick, 'assistant', {
      message: { id, role: 'assistant', model: 'm', content: [block], stop_reason: stop, usage: { output_tokens: pick(9) } },
    })
  return {
    path: `projects/-w/${SESSION}.jsonl`,
    session: SESSION,
    head: () => textsOf([{ type: 'summary', summary: 'a session', leafUuid: 'x' }]),
    next(pick, calls) {
      const kind = calls === undefined ? pick(9) : 2
      if (kind < 2) return textsOf([line(pick, 'user', { message: { role: 'user', content: words(pick) } })])
      if (kind < 4) {
        // Sometimes a reply goes on that others came after.
        const id = pick(4) === 0 ? `msg_${Math.max(0, replies - pick(14))}` : `msg_${++replies}`
        const tools = listOf(calls ?? pick(3), () => ({ type: 'tool_use', id: told.call(), name: 'bash', input: {} }))
        const blocks = [{ type: 'text', text: words(pick) }, ...tools]
        return textsOf(blocks.map((block, at) => reply(pick, id, block, at === blocks.length - 1 && pick(2) === 0 ? 'end_turn' : null)))
      }
      if (kind < 6 && told.isAsked(pick)) {
        const results = listOf(1 + pick(2), () => ({ type: 'tool_result', tool_use_id: told.answered(pick), content: words(pick) }))
        const content = pick(5) === 0 ? [...results, { type: 'text', text: words(pick) }] : results
        return textsOf([line(pick, 'user', { message: { role: 'user', content } })])
      }
      if (kind === 6) return textsOf([line(pick, 'progress', { data: { type: 'hook_progress', at: pick(100) } })])
      if (kind === 7) return textsOf([line(pick, pick(2) === 0 ? 'hologram' : 'system', { content: words(pick) })])
      return textsOf([{ type: 'custom-title', customTitle: words(pick), sessionId: SESSION }])
    },
  }
}

function growingCodex(): GrowingLog {
  const told = new Told()
  let turn = 0
  const line = (pick: Pick, type: string, payload: object): object => ({ timestamp: told.time(pick), type, payload })
  const said = (pick: Pick, role: string, text: string): object =>
    line(pick, 'response_item', { type: 'message', role, content: [{ type: role === 'user' ? 'input_text' : 'output_text', text }] })
  const asked = (pick: Pick): object[] => {
    const text = words(pick)
    const event = line(pick, 'event_msg', { type: 'user_message', message: text })
    const item = said(pick, 'user', text)
    const context = line(pick, 'turn_context', { cwd: '/w', model: 'm', turn_id: `t${++turn}` })
    return [context, ...(pick(2) === 0 ? [event, item] : [item, event])].slice(pick(2))
  }
  return {
    path: `sessions/2026/03/01/rollout-2026-03-01T10-00-00-${SESSION}.jsonl`,
    session: SESSION,
    head: () =>
      textsOf([
        {
          timestamp: new Date(START).toISOString(),
          type: 'session_meta',
          payload: { id: SESSION, timestamp: new Date(START).toISOString(), cwd: '/w' },
        },
      ]),
    next(pick, calls) {
      const kind = calls === undefined ? pick(13) : 4
      if (kind < 2) return textsOf(asked(pick))
      if (kind === 2) return textsOf([line(pick, 'response_item', { type: 'reasoning', summary: [{ type: 'summary_text', text: words(pick) }] })])
      if (kind === 3) return textsOf([said(pick, 'assistant', words(pick))])
      if (kind < 6) {
        const call = (): object => line(pick, 'response_item', { type: 'function_call', name: 'shell', arguments: '{}', call_id: told.call() })
        return textsOf(listOf(calls ?? 1 + pick(2), call))
      }
      if (kind < 8 && told.isAsked(pick)) {
        return textsOf([line(pick, 'response_item', { type: 'function_call_output', call_id: told.answered(pick), output: words(pick) })])
      }
      if (kind < 10) {
        const usage = { input_tokens: pick(4), output_tokens: 1, total_tokens: 2 }
        return textsOf([line(pick, 'event_msg', { type: 'token_count', info: { last_token_usage: usage, total_token_usage: usage } })])
      }
      if (kind === 10) return textsOf([line(pick, 'event_msg', { type: 'thread_rolled_back', num_turns: 1 + pick(3) })])
      if (kind === 11) return textsOf([line(pick, 'event_msg', { type: pick(2) === 0 ? 'turn_aborted' : 'task_complete', turn_id: `t${turn}` })])
      return textsOf([line(pick, pick(2) === 0 ? 'hologram' : 'compacted', { message: words(pick) })])
    },
  }
}

/** The lines of a journal, each with a message or two. */
function growingJcode(): GrowingLog {
  const told = new Told()
  const session = 'session_fox_1767571244376'
  const message = (pick: Pick, calls: number | undefined): object => {
    const timestamp = told.time(pick)
    const kind = calls === undefined ? pick(6) : 2
    // Sometimes a message is written again, as it is now.
    const isAgain = pick(30) === 0 && told.ids.length > 0
    const id = isAgain ? told.ids[pick(told.ids.length)] : told.id('message_1_')
    const text = { type: 'text', text: words(pick) }
    if (kind < 2 || (kind > 3 && !told.isAsked(pick))) return { id, role: 'user', timestamp, content: [text] }
    if (kind < 4) {
      const tools = listOf(calls ?? pick(3), () => ({ type: 'tool_use', id: told.call(), name: 'bash', input: {} }))
      return { id, role: 'assistant', timestamp, content: [text, ...tools] }
    }
    return { id, role: 'user', timestamp, content: [{ type: 'tool_result', tool_use_id: told.answered(pick), content: words(pick) }] }
  }
  return {
    path: `sessions/${session}.journal.jsonl`,
    session,
    head: () => [],
    next(pick, calls) {
      const messages = listOf(calls === undefined ? 1 + pick(2) : 1, () => message(pick, calls))
      const meta = { id: session, title: 'a session', updated_at: told.time(pick), status: 'Active' }
      return textsOf([{ meta, append_messages: pick(6) === 0 ? [] : messages, append_env_snapshots: [] }])
    },
  }
}

export const GROWING: Readonly<Record<LogAgent, () => GrowingLog>> = {
  pi: growingPi,
  claude: growingClaude,
  codex: growingCodex,
  jcode: growingJcode,
}
