/** A model on loopback that answers as scripted: chat completions as OpenAI streams them. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'

/** One answer of the model. */
export interface Step {
  readonly reasoning?: string
  readonly text?: string
  readonly tools?: readonly { readonly name: string; readonly args: object }[]
  /** Answers with this HTTP status instead. */
  readonly status?: number
  /** Characters per chunk. @default 64 */
  readonly chunk?: number
  /** Milliseconds between chunks. @default 0 */
  readonly everyMs?: number
  /** After so many chunks nothing more comes, and the connection stays open. */
  readonly holdAfter?: number
}

export interface MockModel extends AsyncDisposable {
  readonly url: string
  /** The n-th request about a user message that holds `prompt` gets the n-th step. */
  script(prompt: string, steps: readonly Step[]): void
}

export async function startModel(): Promise<MockModel> {
  const scripts = new Map<string, readonly Step[]>()
  const server = createServer((request, response) => {
    answer(scripts, request, response).catch(() => response.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    script: (prompt, steps) => scripts.set(prompt, steps),
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

async function answer(scripts: ReadonlyMap<string, readonly Step[]>, request: IncomingMessage, response: ServerResponse): Promise<void> {
  let body = ''
  for await (const piece of request) body += piece
  const asked = JSON.parse(body) as Asked
  const step = stepFor(scripts, asked)
  if (step.status !== undefined) {
    response.writeHead(step.status, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ error: { message: `the model answers ${step.status}`, type: 'mock_error' } }))
    return
  }
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  let sent = 0
  for (const event of eventsOf(step, asked.model)) {
    if (sent++ === step.holdAfter) return
    if (response.destroyed) return
    response.write(`data: ${event}\n\n`)
    if (step.everyMs !== undefined) await pause(step.everyMs)
  }
  response.end('data: [DONE]\n\n')
}

interface Asked {
  readonly model: string
  readonly tools?: readonly object[]
  readonly messages: readonly { readonly role: string; readonly content: string | readonly { readonly text?: string }[] | null }[]
}

/** The newest scripted user message counts: its script's step is the number of answers since. */
function stepFor(scripts: ReadonlyMap<string, readonly Step[]>, { messages, tools = [] }: Asked): Step {
  const said = messages.map(({ role, content }) => ({
    role,
    text: typeof content === 'string' ? content : (content ?? []).map(({ text }) => text ?? '').join('\n'),
  }))
  if (said.some(({ role, text }) => role === 'system' && /title generator/i.test(text))) return { text: 'A title by the model' }
  if (tools.length === 0) return { text: 'A summary of what was said.' }
  for (const [at, { role, text }] of [...said.entries()].reverse()) {
    if (role !== 'user') continue
    const steps = [...scripts].find(([prompt]) => text.includes(prompt))?.[1]
    const step = steps?.[said.slice(at + 1).filter((later) => later.role === 'assistant').length]
    if (step !== undefined) return step
  }
  return { text: 'Nobody wrote an answer to this.' }
}

function* eventsOf({ reasoning = '', text = '', tools = [], chunk = 64 }: Step, model: string): Generator<string> {
  const event = (delta: object, finish_reason: string | null = null): string =>
    JSON.stringify({
      id: 'chatcmpl-mock',
      object: 'chat.completion.chunk',
      created: 1_700_000_000,
      model,
      choices: [{ index: 0, delta, finish_reason }],
    })
  yield event({ role: 'assistant', content: '' })
  for (let at = 0; at < reasoning.length; at += chunk) yield event({ reasoning_content: reasoning.slice(at, at + chunk) })
  for (let at = 0; at < text.length; at += chunk) yield event({ content: text.slice(at, at + chunk) })
  for (const [index, { name, args }] of tools.entries()) {
    const id = `call_${name}_${index}_${callNumber++}`
    yield event({ tool_calls: [{ index, id, type: 'function', function: { name, arguments: JSON.stringify(args) } }] })
  }
  yield event({}, tools.length > 0 ? 'tool_calls' : 'stop')
  const usage = { prompt_tokens: 100, completion_tokens: 20, total_tokens: 120, prompt_tokens_details: { cached_tokens: 40 } }
  yield JSON.stringify({ id: 'chatcmpl-mock', object: 'chat.completion.chunk', created: 1_700_000_000, model, choices: [], usage })
}

let callNumber = 0
