/** `opencode serve` on a machine, and what its API is asked here. */
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { killGroup, type Machine, startBinary } from './machine.js'

export type Json = Record<string, unknown>

export interface ApiMessage {
  readonly info: Json & {
    readonly id: string
    readonly role: string
    readonly time: { readonly completed?: number }
    readonly error?: { readonly name: string }
  }
  readonly parts: readonly (Json & { readonly id: string; readonly type: string })[]
}

export interface ApiSession {
  readonly id: string
  readonly directory: string
}

/** Milliseconds that OpenCode has for anything. */
const PATIENCE = 60_000

export class OpenCode implements AsyncDisposable {
  readonly #machine: Machine
  readonly #base: string
  readonly #child: ReturnType<typeof startBinary>
  readonly #cwd: string

  private constructor(machine: Machine, base: string, child: ReturnType<typeof startBinary>, cwd: string) {
    this.#machine = machine
    this.#base = base
    this.#child = child
    this.#cwd = cwd
  }

  static async start(machine: Machine, binary: string, cwd: string): Promise<OpenCode> {
    const port = await freePort()
    const args = ['serve', '--hostname', '127.0.0.1', '--port', String(port)]
    const server = new OpenCode(machine, `http://127.0.0.1:${port}`, startBinary(machine, binary, args, cwd, join(machine.root, 'serve.log')), cwd)
    try {
      // While it boots, 1.15 and later drop requests without an answer, hence the short patience of each.
      await until('OpenCode answers', async () => {
        if (server.#child.exitCode !== null) {
          const log = readFileSync(`${join(machine.root, 'serve.log')}.err`, 'utf8').slice(-1000)
          throw new Error(`opencode serve ended with ${server.#child.exitCode}: ${log}`)
        }
        const answer = await fetch(`${server.#base}/session`, { signal: AbortSignal.timeout(1000) }).catch(() => undefined)
        return answer?.ok === true ? true : undefined
      })
      return server
    } catch (error) {
      await server.kill()
      throw error
    }
  }

  async api<T>(method: string, path: string, body?: object, directory: string = this.#cwd): Promise<T> {
    const url = new URL(path, this.#base)
    url.searchParams.set('directory', directory)
    const answer = await fetch(url, {
      method,
      signal: AbortSignal.timeout(PATIENCE),
      ...(body !== undefined && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    })
    const text = await answer.text()
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text.slice(0, 300)}`)
    return (text === '' ? undefined : JSON.parse(text)) as T
  }

  newSession(body: Json = {}, directory?: string): Promise<ApiSession> {
    return this.api('POST', '/session', body, directory)
  }

  messages({ id, directory }: ApiSession): Promise<readonly ApiMessage[]> {
    return this.api('GET', `/session/${id}/message`, undefined, directory)
  }

  /** Asks, and waits for the end of the turn. */
  async say(session: ApiSession, prompt: string, more: readonly Json[] = []): Promise<void> {
    await this.api('POST', `/session/${session.id}/message`, question(prompt, more), session.directory)
  }

  /** Asks, and does not wait. */
  async begin(session: ApiSession, prompt: string): Promise<void> {
    await this.api('POST', `/session/${session.id}/prompt_async`, question(prompt), session.directory)
  }

  /** Waits until a part of the session is as wanted. */
  async untilPart(session: ApiSession, wanted: (part: ApiMessage['parts'][number]) => boolean): Promise<void> {
    await until('a part of the answer', async () => ((await this.messages(session)).some(({ parts }) => parts.some(wanted)) ? true : undefined))
  }

  /** Waits until the last message is an answer that is complete or failed. */
  async untilSettled(session: ApiSession, everyMs?: number): Promise<void> {
    const settled = async (): Promise<true | undefined> => {
      const last = (await this.messages(session)).at(-1)?.info
      return last?.role === 'assistant' && (last.time.completed !== undefined || last.error !== undefined) ? true : undefined
    }
    await until('the end of the answer', settled, everyMs)
  }

  /** Ends it as a user would. */
  async stop(): Promise<void> {
    this.#child.kill('SIGTERM')
    const ended = await Promise.race([this.#ended(), pause(10_000, false, { ref: false })])
    await this.kill()
    if (!ended) throw new Error('OpenCode did not end within ten seconds of SIGTERM')
  }

  /** `kill -9`. */
  async kill(): Promise<void> {
    killGroup(this.#machine, this.#child, 'SIGKILL')
    await this.#ended()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill()
  }

  #ended(): Promise<true> {
    const { exitCode, signalCode, pid } = this.#child
    if (exitCode !== null || signalCode !== null || pid === undefined) return Promise.resolve(true)
    return new Promise((resolve) => this.#child.once('exit', () => resolve(true)))
  }
}

function question(prompt: string, more: readonly Json[] = []): object {
  return { model: { providerID: 'mock', modelID: 'large' }, parts: [{ type: 'text', text: prompt }, ...more] }
}

/** Asks again and again, until there is an answer. */
export async function until<T>(what: string, ask: () => Promise<T | undefined>, everyMs = 20): Promise<T> {
  const deadline = performance.now() + PATIENCE
  for (;;) {
    const answer = await ask()
    if (answer !== undefined) return answer
    if (performance.now() > deadline) throw new Error(`${what}: not within ${PATIENCE / 1000} s`)
    await pause(everyMs)
  }
}

async function freePort(): Promise<number> {
  const probe = createServer()
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve))
  const address = probe.address()
  await new Promise((resolve) => probe.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('no port is free')
  return address.port
}
