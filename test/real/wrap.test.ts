/** The corpus whose one session straddles the wrap of ids (2026-08-14T11:19:55.136Z): nothing is out of order, however it is asked for. */
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { MessageId } from '../../src/core/ids.js'
import { openSessions } from '../../src/open.js'
import { runSessionFlow } from '../../src/tree/flow.js'
import { listMessages, loadMessages } from '../../src/tree/loader.js'
import { planSessionTree } from '../../src/tree/plan.js'
import type { Sessions } from '../../src/tree/sessions/sessions.js'
import { jsonLines, runCli } from '../support/cli.js'
import { WRAP } from '../support/corpus.js'
import { GENERATOR_IS_HERE, type Generated, generated } from '../support/generated.js'
import { readDatabase } from '../support/independent-reader.js'
import { keyOf, resultOf, treeOf } from '../support/trees.js'

/** Ids of messages by their recorded time; of each message its parts as they were written. */
interface Written {
  readonly messages: readonly { readonly id: string; readonly time: number; readonly parts: readonly string[] }[]
}

const CORPUS = ['--base', '2026-08-12T00:00:00Z', '--days', '5', '--messages', '800', '--text', '40', '--tool', '80']
const LAYOUTS = {
  'a database': { options: ['--layout', 'db', '--sessions', '10', '--parts', '3'], store: 'opencode.db' },
  'a tree of files': { options: ['--layout', 'legacy,db', '--sessions', '5', '--parts', '1'], store: 'storage' },
} as const

describe.skipIf(!GENERATOR_IS_HERE).each(Object.entries(LAYOUTS))('%s with a session across the wrap of ids', (_, { options, store }) => {
  let corpus: Generated
  let sessions: Sessions
  let written: ReadonlyMap<string, Written>
  let data = ''
  beforeAll(async () => {
    corpus = generated(...CORPUS, ...options)
    data = join(corpus.data, store)
    written = writtenIn(join(corpus.data, 'opencode.db'))
    sessions = await openSessions({ data })
  })
  afterAll(async () => {
    await sessions.close()
    corpus[Symbol.dispose]()
  })

  const astride = (): readonly [string, Written] => {
    const found = [...written].filter(([, { messages }]) => messages.some(({ time }) => time < WRAP) && messages.some(({ time }) => time >= WRAP))
    const [session, ...others] = found
    if (session === undefined || others.length > 0) throw new Error(`${found.length} sessions stand astride the wrap`)
    return session
  }

  it('has one whose ids are in another order than its messages', () => {
    const ids = astride()[1].messages.map(({ id }) => id)
    const sorted = [...ids].sort()
    expect(ids.filter((id, at) => id !== sorted[at]).length).toBe(800)
  })

  it('gives all trees, messages and parts in order, streamed', async () => {
    let seen = 0
    for await (const result of runSessionFlow(sessions, { all: true })) {
      const { key, messages } = resultOf(result)
      const expected = written.get(key.session)?.messages
      expect(messages.map(({ message, parts }) => ({ id: message?.id, parts: parts.map(({ id }) => id) }))).toEqual(
        expected?.map(({ id, parts }) => ({ id, parts })),
      )
      seen++
    }
    expect(seen).toBe(written.size)
  })

  it('gives pages of messages in order', async () => {
    const [session, { messages }] = astride()
    const ids: string[] = []
    for await (const result of runSessionFlow(sessions, { session: keyOf(session) }, { output: 'messages' }))
      ids.push(...resultOf(result).messages.map(({ key }) => key.message))
    expect(ids).toEqual(messages.map(({ id }) => id))
  })

  it('lists and loads in order', async () => {
    for (const [session, { messages }] of written) {
      const ids = messages.map(({ id }) => id)
      expect((await sessions.index.messages(keyOf(session))).map(({ id }) => id)).toEqual(ids)
      expect((await listMessages(sessions, keyOf(session))).map(({ id }) => id)).toEqual(ids)
    }
    const [session, { messages }] = astride()
    const loaded = await loadMessages(sessions, keyOf(session))
    expect(loaded.map(({ key, parts }) => [key.message, ...parts.map(({ id }) => id)])).toEqual(messages.map(({ id, parts }) => [id, ...parts]))
  })

  it.each([1, 7, 360, 700])('gives the last %i in order, and those around a message', async (last) => {
    const [session, { messages }] = astride()
    const ids = messages.map(({ id }) => id)
    const window = async (request: { last?: number; before?: MessageId; after?: MessageId }): Promise<string[]> =>
      (await treeOf(sessions, { session: keyOf(session), messages: request })).messages.map(({ key }) => key.message)
    expect(await window({ last })).toEqual(ids.slice(-last))
    const at = ids.length - last
    expect(await window({ before: ids[at] as MessageId, last: 5 })).toEqual(ids.slice(Math.max(0, at - 5), at))
    expect(await window({ after: ids[at] as MessageId })).toEqual(ids.slice(at + 1))
  })

  it.each([3, 400, 790])('gives what comes after the first %i that are known, in order', async (held) => {
    const [session, { messages }] = astride()
    const ids = messages.map(({ id }) => id)
    const whole = await treeOf(sessions, { session: keyOf(session) })
    const signatures = new Map(whole.messages.slice(0, held).map(({ key, signature }) => [key.message, signature]))
    const request = { session: keyOf(session), known: ({ message }: { message: MessageId }) => signatures.get(message) }
    const plan = await planSessionTree(sessions, request)
    expect(plan.status === 'ok' && [plan.value.messages.map(({ key }) => key.message), plan.value.unchanged]).toEqual([ids.slice(held), held])
    expect((await treeOf(sessions, request)).messages.map(({ key }) => key.message)).toEqual(ids.slice(held))
  })

  it('shows them in order on the command line', () => {
    const [session, { messages }] = astride()
    const shown = (...more: string[]): unknown[] =>
      jsonLines(runCli(['show', session, '--data', data, '--json', ...more])).flatMap(({ messages }) =>
        (messages as readonly { readonly info: { readonly id: string } }[]).map(({ info }) => info.id),
      )
    const ids = messages.map(({ id }) => id)
    expect(shown()).toEqual(ids)
    expect(shown('--last', '500')).toEqual(ids.slice(-500))
  })
})

/** The rows of the database that the generator wrote beside, or instead of, the files: by their times. */
function writtenIn(path: string): ReadonlyMap<string, Written> {
  const database = new Database(path, { readonly: true })
  const parts = new Map<string, string[]>()
  // The generator numbers parts as it writes them, so the order of the rows is the order of writing.
  for (const [message, part] of database.prepare('SELECT message_id, id FROM part ORDER BY rowid').raw().all() as [string, string][])
    parts.set(message, [...(parts.get(message) ?? []), part])
  database.close()
  return new Map(
    [...readDatabase(path)].map(([session, { messages }]) => [
      session,
      {
        messages: messages.map(({ message }) => ({
          id: String(message.id),
          time: Number((message.time as { created: number }).created),
          parts: parts.get(String(message.id)) ?? [],
        })),
      },
    ]),
  )
}
