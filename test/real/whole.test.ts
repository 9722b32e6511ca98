/** On what real OpenCode wrote: originals lose nothing, children are found from either side, and damaged sessions are rebuilt. */
import { readdirSync, readFileSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Document } from '../../src/core/documents.js'
import { openSessions } from '../../src/open.js'
import { runSessionFlow } from '../../src/tree/flow.js'
import { childLinks } from '../../src/tree/sessions/children.js'
import type { SessionMeta } from '../../src/tree/types.js'
import { COUNTS, SETS_ARE_HERE, unpackSets, V2_COUNTS } from '../support/real-sets.js'
import { tempFolder } from '../support/temp.js'
import { resultOf, treeOf } from '../support/trees.js'

const here = SETS_ARE_HERE ? describe : describe.skip
const folder = tempFolder()
afterAll(() => folder[Symbol.dispose]())

/** Every row, with `data` parsed, by id. */
function rowsOf(database: Database.Database, table: string): Map<string, Document> {
  const rows = database.prepare(`SELECT * FROM ${table}`).all() as (Document & { id: string })[]
  return new Map(rows.map((row) => [row.id, 'data' in row ? { ...row, data: JSON.parse(String(row.data)) } : row]))
}

function fileIn(data: string, ...names: readonly string[]): unknown {
  return JSON.parse(readFileSync(`${join(data, 'storage', ...names)}.json`, 'utf8'))
}

here('the sets of real OpenCode, read whole', () => {
  beforeAll(() => unpackSets(folder.path))
  const dataOf = (name: string): string => join(folder.path, name, 'opencode')
  const names = Object.keys(COUNTS)

  it.each(names.filter((name) => name.includes('sqlite')))('give every row of %s as it is stored', async (name) => {
    const database = new Database(join(dataOf(name), 'opencode.db'))
    const [sessions, messages, parts] = ['session', 'message', 'part'].map((table) => rowsOf(database, table)) as [
      Map<string, Document>,
      Map<string, Document>,
      Map<string, Document>,
    ]
    database.close()
    await using set = await openSessions({ data: dataOf(name) })
    const seen = { sessions: 0, messages: 0, parts: 0 }
    for await (const result of runSessionFlow(set, { all: true }, { native: true })) {
      const tree = resultOf(result)
      expect(tree.native).toEqual(sessions.get(tree.key.session))
      seen.sessions++
      for (const { key, native } of tree.messages) {
        expect(native?.message).toEqual(messages.get(key.message))
        for (const { id, document } of native?.parts ?? []) expect(document).toEqual(parts.get(id))
        seen.messages++
        seen.parts += native?.parts.length ?? 0
      }
    }
    expect(seen).toEqual({ sessions: sessions.size, messages: messages.size, parts: parts.size })
  })

  it.each(Object.keys(V2_COUNTS))('give every row of OpenCode 2 in %s as it is stored', async (name) => {
    const database = new Database(join(dataOf(name), 'opencode.db'))
    const [sessions, messages] = ['session_v2', 'session_message'].map((table) => rowsOf(database, table))
    database.close()
    await using set = await openSessions({ data: dataOf(name) })
    let count = 0
    for (const { key, source } of set.index.sessionsByTime()) {
      if (source.kind !== 'opencode-v2') continue
      const tree = await treeOf(set, { session: key, native: true })
      expect(tree.native).toEqual(sessions?.get(key.session))
      for (const node of tree.messages) expect(node.native).toEqual({ message: messages?.get(node.key.message), parts: [] })
      count += tree.messages.length
    }
    expect(count).toBe(V2_COUNTS[name]?.[1])
  })

  it('give every file of 1.1.65 as it is stored', async () => {
    const data = dataOf('opencode-json-1.1.65')
    await using set = await openSessions({ data })
    let count = 0
    for await (const result of runSessionFlow(set, { all: true }, { native: true })) {
      const tree = resultOf(result)
      expect(tree.native).toEqual(fileIn(data, 'session', tree.session?.projectID ?? '', tree.key.session))
      for (const { key, native } of tree.messages) {
        expect(native?.message).toEqual(fileIn(data, 'message', key.session, key.message))
        for (const { id, document } of native?.parts ?? []) expect(document).toEqual(fileIn(data, 'part', key.message, id))
        count += 1 + (native?.parts.length ?? 0)
      }
    }
    const [, messages = 0, parts = 0] = COUNTS['opencode-json-1.1.65'] ?? []
    expect(count).toBe(messages + parts)
  })

  it.each(['opencode-sqlite-1.2.1', 'opencode-sqlite-1.18.33'])('find the children in %s from either side', async (name) => {
    const links = async (): Promise<string[]> => {
      await using set = await openSessions({ data: dataOf(name) })
      const found: string[] = []
      for (const { key } of set.index.sessionsByTime()) {
        for (const { session, by, missing } of childLinks(set, await treeOf(set, { session: key })))
          found.push([key.session, session, by, missing].join(' '))
      }
      return found.sort()
    }
    const both = await links()
    expect(both.filter((link) => link.endsWith(' both false')).length).toBeGreaterThan(2)
    const byParent = both.filter((link) => link.includes(' parent '))
    const database = new Database(join(dataOf(name), 'opencode.db'))
    database.exec('UPDATE session SET parent_id = NULL')
    const byTool = both.filter((link) => !byParent.includes(link)).map((link) => link.replace(' both ', ' tool '))
    expect(await links()).toEqual(byTool)
    database.exec('PRAGMA foreign_keys = OFF; DELETE FROM session WHERE id NOT IN (SELECT session_id FROM part WHERE data LIKE \'%"tool":"task"%\')')
    database.close()
    const left = await links()
    expect(left.length).toBeGreaterThan(2)
    expect(left).toEqual(byTool.filter((link) => left.some((other) => other.startsWith(link.slice(0, link.indexOf(' '))))).map(gone))
  })

  it('are told by their messages alone, where every session record is damaged', async () => {
    const data = dataOf('opencode-json-1.1.65-crash')
    const before = await metasOf(data)
    for (const project of readdirSync(join(data, 'storage', 'session')))
      for (const file of readdirSync(join(data, 'storage', 'session', project))) truncateSync(join(data, 'storage', 'session', project, file), 20)
    const after = await metasOf(data)
    expect([...after.keys()].sort()).toEqual([...before.keys()].sort())
    let answered = 0
    let titled = 0
    for (const [id, { meta, messages, hasAnswer, summary }] of after) {
      const { created, project, directory } = before.get(id)?.meta ?? {}
      expect([meta.damaged, meta.project, messages]).toEqual([true, project, before.get(id)?.messages])
      expect(Math.abs(meta.created - (created ?? 0))).toBeLessThan(50)
      expect([directory, '']).toContain(meta.directory)
      expect(meta.title).toBe(summary)
      if (summary !== '') titled++
      if (!hasAnswer) continue
      expect(meta.directory).toBe(directory)
      answered++
    }
    expect(answered).toBeGreaterThan(20)
    expect(titled).toBeGreaterThan(5)
  })
})

/** Children stand in no other session's tools here, so without their records they are missing. */
function gone(link: string): string {
  return link.replace(/false$/, 'true')
}

/** `summary` is the first title that OpenCode gave to what a user asked. */
async function metasOf(data: string) {
  await using set = await openSessions({ data })
  const metas = new Map<string, { meta: SessionMeta; messages: number; hasAnswer: boolean; summary: string }>()
  for (const meta of set.index.sessionsByTime()) {
    const { messages } = await treeOf(set, { session: meta.key })
    const titles = messages.flatMap(({ message }) => (message?.role === 'user' && message.summary?.title ? [message.summary.title] : []))
    const hasAnswer = messages.some(({ message }) => message?.role === 'assistant')
    metas.set(meta.id, { meta, messages: messages.length, hasAnswer, summary: titles[0] ?? '' })
  }
  return metas
}
