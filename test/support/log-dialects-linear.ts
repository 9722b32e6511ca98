/** Codex and jcode: messages stand in the order in which they follow one another. */
import type { LogDialect, RenderedLog } from './log-dialects.js'
import { claudeBlock } from './log-dialects-chained.js'
import { type Block, MODEL, type SaidSession, type Saying } from './log-sayings.js'

const iso = (time: number): string => new Date(time).toISOString()

function codexLines({ id, parent, title, cwd, created, sayings }: SaidSession): string[] {
  const source = parent === undefined ? 'cli' : { subagent: { thread_spawn: { parent_thread_id: parent, depth: 1 } } }
  const line = (time: number, type: string, payload: object): object => ({ timestamp: iso(time), type, payload })
  const head = { id, timestamp: iso(created), cwd, originator: 'codex_cli', cli_version: '0.128.0', source }
  const lines: object[] = [line(created, 'session_meta', head)]
  for (const [at, saying] of sayings.entries()) {
    const { time, role } = saying
    if (role === 'user') lines.push(line(time, 'turn_context', { turn_id: `turn-${at}`, cwd, model: MODEL, effort: 'high' }))
    if (role === 'unknown') lines.push(line(time, 'hologram', { beam: true }))
    else for (const payload of codexItems(saying)) lines.push(line(time, 'response_item', payload))
    for (const payload of codexEvents(saying, at)) lines.push(line(time, 'event_msg', payload))
    if (at === 1) lines.push(line(time, 'event_msg', { type: 'thread_name_updated', thread_id: id, thread_name: title }))
  }
  return lines.map((one) => JSON.stringify(one))
}

/** Thoughts and calls are items of their own; outputs come when all calls are made. */
function codexItems({ role, blocks }: Saying): object[] {
  const spoken = blocks.filter((block) => 'text' in block || 'image' in block)
  const thoughts = blocks.flatMap((block) =>
    'thought' in block ? [{ type: 'reasoning', summary: [{ type: 'summary_text', text: block.thought }] }] : [],
  )
  const message = { type: 'message', role, content: spoken.map((block) => codexBlock(block, role)) }
  const calls = blocks.flatMap((block) =>
    'call' in block ? [{ type: 'function_call', name: block.tool, arguments: JSON.stringify(block.input), call_id: block.call }] : [],
  )
  const outputs = blocks.flatMap((block) => {
    if (!('call' in block) || block.answer === undefined) return []
    const output = block.failed === true ? JSON.stringify({ output: block.answer, success: false }) : block.answer
    return [{ type: 'function_call_output', call_id: block.call, output }]
  })
  return [...thoughts, ...(spoken.length > 0 ? [message] : []), ...calls, ...outputs]
}

function codexBlock(block: Block, role: string): object {
  if ('image' in block) return { type: 'input_image', image_url: `data:image/png;base64,${block.image}` }
  return { type: role === 'user' ? 'input_text' : 'output_text', text: 'text' in block ? block.text : '' }
}

/** Copies of what is said, and what it cost so far. */
function codexEvents({ role, blocks }: Saying, at: number): object[] {
  const copies = blocks.flatMap((block) =>
    'text' in block && role !== 'unknown' ? [{ type: role === 'user' ? 'user_message' : 'agent_message', message: block.text }] : [],
  )
  const usage = { input_tokens: 13, cached_input_tokens: 2, output_tokens: 5, reasoning_output_tokens: 1, total_tokens: 18 }
  const total = { ...usage, total_tokens: 18 * (at + 1) }
  const count = { type: 'token_count', info: { total_token_usage: total, last_token_usage: usage } }
  return role === 'assistant' ? [...copies, count] : copies
}

export const codex: LogDialect = {
  name: 'Codex',
  kind: 'codex-jsonl',
  agent: 'codex',
  hasTree: false,
  hasIds: false,
  provider: 'openai',
  version: '0.128.0',
  origin: 'parentID',
  idOf: ({ id }) => id,
  render: (session) => {
    const time = iso(session.created).slice(0, 19).replaceAll(':', '-')
    return [{ path: `sessions/2026/03/01/rollout-${time}-${session.id}.jsonl`, form: 'lines', lines: codexLines(session) }]
  },
}

/** A message, and that of the user with the results of its tools. */
function jcodeMessages({ id, role, time, blocks }: Saying): object[] {
  if (role === 'unknown') return [{ id, role: 'hologram', content: [], timestamp: iso(time) }]
  const content = blocks.map(jcodeBlock)
  const token_usage = role === 'assistant' && { token_usage: { input_tokens: 10, output_tokens: 5, cache_read_input_tokens: 2 } }
  const results = blocks.flatMap((block) => {
    if (!('call' in block) || block.answer === undefined) return []
    return [{ type: 'tool_result', tool_use_id: block.call, content: block.answer, ...(block.failed && { is_error: true }) }]
  })
  const answer = { id: `${id}-r`, role: 'user', content: results, timestamp: iso(time + 500) }
  return [{ id, role, content, timestamp: iso(time), ...token_usage }, ...(results.length > 0 ? [answer] : [])]
}

function jcodeBlock(block: Block): object {
  if ('thought' in block) return { type: 'reasoning', text: block.thought }
  return 'image' in block ? { type: 'image', media_type: 'image/png', data: block.image } : claudeBlock(block)
}

const jcodeId = (id: string): string => `session_fox_${id.slice(0, 8)}`

/** The snapshot holds so many sayings, the journal the others. */
function jcodeLogs(session: SaidSession, folded: number): readonly RenderedLog[] {
  const { title, cwd, created, parent, sayings } = session
  const id = jcodeId(session.id)
  const light = (time: number): object => ({
    ...(parent && { parent_id: jcodeId(parent) }),
    title,
    updated_at: iso(time),
    model: MODEL,
    provider_key: 'acme',
    working_dir: cwd,
    status: 'Active',
  })
  const last = sayings.slice(0, folded).at(-1)?.time ?? created
  const messages = sayings.slice(0, folded).flatMap(jcodeMessages)
  const document = { id, created_at: iso(created), ...light(last), messages, env_snapshots: [{ cwd }], replay_events: [] }
  const snapshot: RenderedLog = { path: `sessions/${id}.json`, form: 'document', lines: [JSON.stringify(document)] }
  const entries = sayings.slice(folded).map((saying) => JSON.stringify({ meta: light(saying.time), append_messages: jcodeMessages(saying) }))
  if (entries.length === 0) return [snapshot]
  const state = JSON.stringify({ meta: light(last), append_messages: [] })
  return [snapshot, { path: `sessions/${id}.journal.jsonl`, form: 'lines', lines: [state, ...entries] }]
}

function jcodeNamed(name: string, folded: number): LogDialect {
  return {
    name,
    kind: 'jcode-journal',
    agent: 'jcode',
    hasTree: false,
    hasIds: true,
    provider: 'acme',
    version: '',
    origin: 'parentID',
    idOf: ({ id }) => jcodeId(id),
    render: (session) => jcodeLogs(session, folded),
  }
}

export const jcodeSnapshot = jcodeNamed('jcode, a snapshot', Number.POSITIVE_INFINITY)
export const jcodeJournal = jcodeNamed('jcode, a snapshot and a journal', 1)
