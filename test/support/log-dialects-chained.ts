/** pi and Claude Code: each line names the one that it follows. */
import type { LogDialect } from './log-dialects.js'
import { type Block, MODEL, type SaidSession, type Saying } from './log-sayings.js'

const iso = (time: number): string => new Date(time).toISOString()
const USAGE = { input: 10, output: 5, cacheRead: 2, cacheWrite: 1, totalTokens: 18, cost: { total: 0.25 } }

/** The chain of lines, and the last line of every message. */
class Chain {
  #tip: string | undefined
  readonly #last = new Map<string, string>()

  /** What a line with this id follows. */
  next(id: string, after: string | undefined): string | null {
    const parent = after === undefined ? this.#tip : this.#last.get(after)
    this.#tip = id
    return parent ?? null
  }

  end(message: string): void {
    if (this.#tip !== undefined) this.#last.set(message, this.#tip)
  }
}

type Linked = (id: string, after?: string) => object

function piLines({ id, cwd, created, parent, title, sayings }: SaidSession, version: 3 | undefined): string[] {
  const chain = new Chain()
  const linked: Linked = (own, after) => (version === undefined ? {} : { id: own, parentId: chain.next(own, after) })
  const origin = parent && { parentSession: `/home/me/.pi/agent/sessions/--work--/2026-03-01T09-00-00-000Z_${parent}.jsonl` }
  const lines: object[] = [{ type: 'session', ...(version && { version }), id, timestamp: iso(created), cwd, ...origin }]
  lines.push({ type: 'model_change', ...linked('m0'), timestamp: iso(created), provider: 'acme', modelId: MODEL })
  for (const [at, saying] of sayings.entries()) {
    if (at === 1) lines.push({ type: 'session_info', ...linked('n0'), timestamp: iso(saying.time), name: title })
    lines.push(...piEntries(saying, linked))
    chain.end(saying.id)
  }
  return lines.map((line) => JSON.stringify(line))
}

function piEntries({ id, role, time, blocks, after }: Saying, linked: Linked): object[] {
  const timestamp = iso(time)
  if (role === 'unknown') return [{ type: 'hologram', ...linked(id, after), timestamp, beam: true }]
  const more = role === 'assistant' && { api: 'x', provider: 'acme', model: MODEL, usage: USAGE, stopReason: 'stop' }
  const entries: object[] = [
    { type: 'message', ...linked(id, after), timestamp, message: { role, content: blocks.map(piBlock), ...more, timestamp: time } },
  ]
  for (const block of blocks) {
    if (!('call' in block) || block.answer === undefined) continue
    const { call: toolCallId, tool: toolName, answer: text, failed: isError = false } = block
    const message = { role: 'toolResult', toolCallId, toolName, content: [{ type: 'text', text }], isError, timestamp: time + 500 }
    entries.push({ type: 'message', ...linked(`${id}-${toolCallId}`), timestamp: iso(time + 500), message })
  }
  return entries
}

function piBlock(block: Block): object {
  if ('text' in block) return { type: 'text', text: block.text }
  if ('thought' in block) return { type: 'thinking', thinking: block.thought }
  if ('image' in block) return { type: 'image', data: block.image, mimeType: 'image/png' }
  return { type: 'toolCall', id: block.call, name: block.tool, arguments: block.input }
}

const piPath = ({ id, created }: SaidSession): string => `--work-app--/${iso(created).replaceAll(/[:.]/g, '-')}_${id}.jsonl`

const PI: Omit<LogDialect, 'name' | 'hasTree' | 'hasIds' | 'version' | 'render'> = {
  kind: 'pi-jsonl',
  agent: 'pi',
  provider: 'acme',
  origin: 'forkSessionID',
  idOf: ({ id }) => id,
}

export const pi: LogDialect = {
  ...PI,
  name: 'pi',
  hasTree: true,
  hasIds: true,
  version: '3',
  render: (session) => [{ path: piPath(session), form: 'lines', lines: piLines(session, 3) }],
}

/** Version 1: a list, without ids. */
export const piOne: LogDialect = {
  ...PI,
  name: 'pi, version 1',
  hasTree: false,
  hasIds: false,
  version: '1',
  render: (session) => [{ path: piPath(session), form: 'lines', lines: piLines(session, undefined) }],
}

function claudeLines(session: SaidSession, byBlock: boolean): string[] {
  const { id, parent, title, sayings } = session
  const chain = new Chain()
  const envelope = (own: string, time: number, after?: string): object => ({
    parentUuid: chain.next(own, after),
    isSidechain: parent !== undefined,
    userType: 'external',
    cwd: session.cwd,
    sessionId: parent ?? id,
    version: '2.1.7',
    gitBranch: 'main',
    ...(parent !== undefined && { agentId: 'a1' }),
    uuid: own,
    timestamp: iso(time),
  })
  const lines: object[] = [{ type: 'file-history-snapshot', messageId: 'x', snapshot: { trackedFileBackups: {} }, isSnapshotUpdate: false }]
  for (const [at, saying] of sayings.entries()) {
    if (at === 1) {
      lines.push({ type: 'custom-title', customTitle: title, sessionId: id })
      lines.push({ ...envelope('p0', saying.time), type: 'progress', data: { type: 'hook_progress' } })
    }
    lines.push(...claudeSaying(saying, envelope, byBlock))
    chain.end(saying.id)
  }
  return lines.map((line) => JSON.stringify(line))
}

type Envelope = (own: string, time: number, after?: string) => object

function claudeSaying({ id, role, time, blocks, after }: Saying, envelope: Envelope, byBlock: boolean): object[] {
  if (role === 'unknown') return [{ ...envelope(id, time, after), type: 'hologram', beam: true }]
  const content = blocks.map(claudeBlock)
  if (role === 'user') return [{ ...envelope(id, time, after), type: 'user', message: { role, content } }]
  const groups = byBlock ? content.map((block) => [block]) : [content]
  const usage = { input_tokens: 10, output_tokens: 5, cache_read_input_tokens: 2, cache_creation_input_tokens: 1 }
  const lines = groups.map((group, at): object => {
    const isLast = at === groups.length - 1
    const message = { id: `msg_${id}`, type: 'message', role, model: MODEL, content: group, stop_reason: isLast ? 'end_turn' : null, usage }
    const own = at === 0 ? id : `${id}-${at}`
    return { ...envelope(own, time, at === 0 ? after : undefined), type: 'assistant', requestId: `req_${id}`, message }
  })
  for (const block of blocks) {
    if (!('call' in block) || block.answer === undefined) continue
    const result = { type: 'tool_result', tool_use_id: block.call, content: block.answer, ...(block.failed && { is_error: true }) }
    lines.push({ ...envelope(`${id}-${block.call}`, time + 500), type: 'user', message: { role: 'user', content: [result] } })
  }
  return lines
}

export function claudeBlock(block: Block): object {
  if ('text' in block) return { type: 'text', text: block.text }
  if ('thought' in block) return { type: 'thinking', thinking: block.thought, signature: 'c2ln' }
  if ('image' in block) return { type: 'image', source: { type: 'base64', media_type: 'image/png', data: block.image } }
  return { type: 'tool_use', id: block.call, name: block.tool, input: block.input }
}

function claudeNamed(name: string, byBlock: boolean): LogDialect {
  return {
    name,
    kind: 'claude-jsonl',
    agent: 'claude',
    hasTree: true,
    hasIds: true,
    provider: 'anthropic',
    version: '2.1.7',
    origin: 'parentID',
    idOf: ({ id, parent }) => (parent === undefined ? id : `${parent}.agent-${id}`),
    render: (session) => {
      const { id, parent } = session
      const path = parent === undefined ? `-work-app/${id}.jsonl` : `-work-app/${parent}/subagents/agent-${id}.jsonl`
      return [{ path, form: 'lines', lines: claudeLines(session, byBlock) }]
    },
  }
}

export const claude = claudeNamed('Claude Code, a line per message', false)
export const claudeByBlock = claudeNamed('Claude Code, a line per block', true)
