/** A small world for the indexer: sessions that can be edited, a clock that is pushed, an embedder that counts, a sink that can fail. */
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Clock } from '../../src/core/clock.js'
import { type MessageId, parseMessageId, parsePartId, parseSessionId } from '../../src/core/ids.js'
import { messageKey, type SessionKey, sessionKey } from '../../src/core/keys.js'
import type { Part } from '../../src/core/parts.js'
import type { Embedder, Sink } from '../../src/indexer/ports.js'
import type { SessionSource } from '../../src/indexer/source.js'
import { documentId } from '../../src/indexer/text/document.js'
import { projectMessage } from '../../src/indexer/text/projection.js'
import type { OwnerProbe } from '../../src/tree/catalog/owner.js'
import type { MessageNode, SessionMeta } from '../../src/tree/types.js'
import { memorySink } from './memory-sink.js'

export const START = 1_760_000_000_000

export interface FakeClock extends Clock {
  wall: number
  mono: number
  advance(ms: number): void
}

export function fakeClock(): FakeClock {
  const sleepers = new Set<{ readonly at: number; readonly wake: () => void }>()
  return {
    wall: START,
    mono: 1000,
    now() {
      return this.wall
    },
    monotonic() {
      return this.mono
    },
    advance(ms) {
      this.wall += ms
      this.mono += ms
      for (const sleeper of [...sleepers]) if (sleeper.at <= this.mono) sleeper.wake()
    },
    sleep(ms, signal) {
      return new Promise((resolve, reject) => {
        const end = (): void => {
          sleepers.delete(sleeper)
          signal?.removeEventListener('abort', onAbort)
        }
        const onAbort = (): void => {
          end()
          reject(signal?.reason)
        }
        const wake = (): void => {
          end()
          resolve()
        }
        const sleeper = { at: this.mono + ms, wake }
        sleepers.add(sleeper)
        signal?.addEventListener('abort', onAbort, { once: true })
      })
    },
  }
}

/** Processes of one boot; `dead` holds those that ended. */
export function fakeOwners(pid: number, dead: Set<number> = new Set()): OwnerProbe {
  return { self: () => ({ pid, boot: 'boot', start: '1', namespace: 'ns' }), isGone: (owner) => dead.has(owner.pid) }
}

export interface WorldMessage {
  id: string
  role: 'user' | 'assistant'
  text: string
  /** Missing while an assistant message is still written. */
  completed?: number
  changed: number
  version: number
  /** Its own record cannot be read; its parts can. */
  damaged?: boolean
}

export interface WorldSession {
  readonly id: string
  title: string
  directory: string
  project: string
  revert?: string
  /** The id of the session that started it. */
  parent?: string
  /** The path of its store. @default '/store' */
  store?: string
  /** Its own record cannot be read: nobody knows where it ran. */
  damaged?: boolean
  updated: number
  revision: number
  messages: WorldMessage[]
}

export class World {
  readonly sessions = new Map<string, WorldSession>()
  readonly hydrated: string[] = []
  /** The stores that are open, and whether they can be listed as a whole. */
  readonly stores = new Map([['/store', true]])
  tailComplete = true
  failing = new Set<string>()
  readonly clock: Clock

  constructor(clock: Clock) {
    this.clock = clock
  }

  add(id: string, texts: readonly string[] = [], fields: Partial<WorldSession> = {}): WorldSession {
    const updated = this.clock.now() - 3_600_000
    const session: WorldSession = {
      id,
      title: `Title of ${id}`,
      directory: '/home/dev/demo',
      project: 'project_1',
      updated,
      revision: 1,
      messages: [],
      ...fields,
    }
    this.sessions.set(id, session)
    for (const [i, text] of texts.entries()) {
      const message: WorldMessage = {
        id: `msg_${id}_${String(i).padStart(4, '0')}`,
        role: i % 2 === 0 ? 'user' : 'assistant',
        text,
        changed: updated,
        version: 1,
      }
      if (message.role === 'assistant') message.completed = updated
      session.messages.push(message)
    }
    return session
  }

  /** Changes a session and moves its revision, as a writer would. */
  edit(session: WorldSession, change: (session: WorldSession) => void): void {
    change(session)
    session.revision++
  }

  source(): SessionSource {
    const listed = () => [...this.sessions.values()].filter(({ store = '/store' }) => this.stores.has(store))
    return {
      list: async () => ({
        sessions: listed().map((s) => ({ meta: metaOf(s), revision: String(s.revision) })),
        stores: [...this.stores].map(([path, complete]) => ({ path, complete })),
      }),
      revision: async (key, store = '/store') => {
        const session = listed().find(({ id }) => id === key.session)
        if (session === undefined && !this.stores.get(store)) throw new Error('it cannot be told')
        return session && String(session.revision)
      },
      tail: async (key, known, { signal, bytes = Number.POSITIVE_INFINITY, after } = {}) => {
        signal?.throwIfAborted()
        const session = this.sessions.get(key.session)
        if (session === undefined || this.failing.has(key.session)) throw new Error('a session that cannot be read')
        const nodes = session.messages.map((message) => nodeOf(key, message))
        const from = session.messages.findIndex(({ id }) => id === after) + 1
        const changed = nodes.slice(from).filter((node) => known(node.key) !== node.signature)
        const sizes = new Map(session.messages.map(({ id, text }) => [id, text.length]))
        let sum = 0
        const messages = changed.filter(({ key }, at) => {
          sum += sizes.get(key.message) ?? 0
          return at === 0 || sum <= bytes
        })
        this.hydrated.push(...messages.map((node) => node.key.message))
        const last = messages.length < changed.length ? messages.at(-1)?.key.message : undefined
        const present = nodes.map((node) => node.key.message)
        return { meta: metaOf(session), messages, present, complete: this.tailComplete, more: last && { after: last } }
      },
    }
  }

  /** Document id -> text hash, as the sink must hold it once everything is settled. */
  expected(namespace = 'local'): Map<string, string> {
    const documents = new Map<string, string>()
    for (const session of this.sessions.values()) {
      for (const message of visibleOf(session)) {
        const node = nodeOf(keyOf(session.id), message)
        const { chunks, textHash } = projectMessage(node)
        for (const chunk of chunks.keys()) documents.set(documentId(namespace, node.key, chunk), textHash)
      }
    }
    return sorted(documents)
  }
}

/** While a revert is set, the messages from that one on are hidden. */
export function visibleOf({ messages, revert }: WorldSession): readonly WorldMessage[] {
  const hidden = messages.findIndex(({ id }) => id === revert)
  return hidden === -1 ? messages : messages.slice(0, hidden)
}

export function keyOf(id: string): SessionKey {
  return sessionKey('opencode', parseSessionId(id))
}

export function metaOf(session: WorldSession): SessionMeta {
  const id = parseSessionId(session.id)
  return {
    key: keyOf(session.id),
    id,
    title: session.title,
    directory: session.directory,
    project: session.project,
    parent: session.parent === undefined ? undefined : parseSessionId(session.parent),
    created: START - 7_200_000,
    updated: session.updated,
    archived: undefined,
    revert: session.revert as MessageId | undefined,
    version: '1.0.0',
    model: undefined,
    usage: undefined,
    damaged: session.damaged === true,
    source: { kind: 'memory', path: session.store ?? '/store' },
    hides: [],
  }
}

export function nodeOf(key: SessionKey, message: WorldMessage): MessageNode {
  const id = parseMessageId(message.id)
  const time = { created: START - 7_200_000, ...(message.completed === undefined ? {} : { completed: message.completed }) }
  const ids = { id: parsePartId(`prt_${message.id}`), sessionID: key.session, messageID: id }
  const parts: Part[] = message.text === '' ? [] : [{ type: 'text', text: message.text, ...ids }]
  const record = message.role === 'user' ? { role: 'user' as const, time } : { role: 'assistant' as const, time }
  return {
    key: messageKey(key, id),
    message: message.damaged ? undefined : { id, sessionID: key.session, ...record },
    parts,
    damagedParts: 0,
    signature: `v${message.version}`,
    changed: message.changed,
  }
}

export interface CountingEmbedder extends Embedder {
  readonly texts: string[]
  failure: Error | undefined
}

export function countingEmbedder(space = 'fake-1', dimensions = 8): CountingEmbedder {
  return {
    name: 'fake',
    space,
    dimensions,
    texts: [],
    failure: undefined,
    async embed(texts) {
      if (this.failure !== undefined) throw this.failure
      this.texts.push(...texts)
      return Float32Array.from(texts.flatMap((text) => [...createHash('sha256').update(text).digest().subarray(0, dimensions)]))
    },
  }
}

export interface FlakySink extends Sink {
  readonly rows: ReadonlyMap<string, { readonly text: string; readonly metadata: { readonly text_hash: string; readonly title: string } }>
  /** Called before each write with what it is; may throw. */
  before: (write: { readonly kind: 'upsert' | 'delete'; readonly ids: readonly string[] }) => void | Promise<void>
}

export function flakySink(): FlakySink {
  const sink = memorySink()
  const flaky: FlakySink = {
    ...sink,
    before: () => undefined,
    async upsert(rows, options) {
      await flaky.before({ kind: 'upsert', ids: rows.map(({ id }) => id) })
      await sink.upsert(rows, options)
    },
    async delete(ids, options) {
      await flaky.before({ kind: 'delete', ids })
      await sink.delete(ids, options)
    },
  }
  return flaky
}

export function contentOf(sink: FlakySink): Map<string, string> {
  return sorted(new Map([...sink.rows].map(([id, { metadata }]) => [id, metadata.text_hash])))
}

function sorted(map: Map<string, string>): Map<string, string> {
  return new Map([...map].sort(([a], [b]) => (a < b ? -1 : 1)))
}

export function tempFolder(): { readonly path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), 'spanleaf-index-'))
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) }
}
