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

const piRender = (session: SaidSession, version: 3 | undefined): string[] => {
  const { id, cwd, created, parent, title, sayings } = session
  const isOld = version === undefined
  const chain = new Chain()
  const linked = (own: string, after?: string): object => (isOld ? {} : { id: own, parentId: chain.next(own, after) })
  const origin = parent && { parentSession: `/home/me/.pi/agent/sessions/--work--/2026-03-01T09-00-00-000Z_${parent}.jsonl` }
  const lines: object[] = [{ type: 'session', ...(version && { version }), id, timestamp: iso(created), cwd, ...origin }]
  lines.push({ type: 'model_change', ...linked('m0'), timestamp: iso(created), provider: 'acme', modelId: MODEL })
  for (const [at, saying] of sayings.entries()) {
    if (at === 1) lines.push({ type: 'session_info', ...linked('n0'), timestamp: iso(saying.time), name: title })
    lines.push(...piEntries(saying, linked))
    if (!isOld) chain.end(saying.id)
  }
  return lines.map((line) => JSON.stringify(line))
}

function piEntries({ id, role, time, blocks, after }: Saying, linked: (id: string, after?: string) => object): object[] {
  const timestamp = iso(time)
  if (role === 'unknown') return [{ type: 'hologram', ...linked(id, after), timestamp, beam: true }]
  const content = blocks.map(piBlock)
  const said = { role, content, ...(role === 'assistant' && { api: 'x', provider: 'acme', model: MODEL, usage: USAGE, stopReason: 'stop' }) }
  const results = blocks.flatMap((block): object[] => {
    if (!('call' in block) || block.answer === undefined) return []
    const { call: toolCallId, tool: toolName, answer: text, failed: isError = false } = block
    const message = { role: 'toolResult', toolCallId, toolName, content: [{ type: 'text', text }], isError, timestamp: time + 500 }
    return [{ type: 'message', ...linked(`${id}-${toolCallId}`), timestamp: iso(time + 500), message }]
  })
  return [{ type: 'message', ...linkedFirst(), timestamp, message: { ...said, timestamp: time } }, ...results]

  /** Asked for before the results, which follow it. */
  function linkedFirst(): object {
    return first
  }
}
