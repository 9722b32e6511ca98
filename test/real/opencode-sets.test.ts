/** What real OpenCode wrote, read in full and held against an independent reader. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { issuesOf } from '../../src/core/stage.js'
import { openSessions } from '../../src/open.js'
import { openSqliteStores } from '../../src/storage/sqlite/opencode-database.js'
import { runSessionFlow, runSessionTreeFlow } from '../../src/tree/flow.js'
import { loadDiffs, loadTodos } from '../../src/tree/loader.js'
import { planSessionTree } from '../../src/tree/plan.js'
import { createSessionSet } from '../../src/tree/sessions/session-set.js'
import type { Sessions } from '../../src/tree/sessions/sessions.js'
import type { SessionHydratedTree } from '../../src/tree/types.js'
import { verifyStores } from '../../src/tree/verify.js'
import { databaseTodos, holdAgainst, type PlainSession, readDatabase, readTree, treeTodos } from '../support/independent-reader.js'
import { readV2Database } from '../support/independent-v2.js'
import { NO_ORPHANS, onDisk, recordsIn, sum } from '../support/ledger-balance.js'
import { manifestOf } from '../support/manifest.js'
import { COUNTS, SETS_ARE_HERE, unpackSets, V2_COUNTS } from '../support/real-sets.js'
import { tempFolder } from '../support/temp.js'
import { resultOf } from '../support/trees.js'

const here = SETS_ARE_HERE ? describe : describe.skip
const folder = tempFolder()
afterAll(() => folder[Symbol.dispose]())

here('the sets of real OpenCode (../shared/data)', () => {
  let before: Readonly<Record<string, string>> = {}
  beforeAll(() => {
    unpackSets(folder.path)
    before = manifestOf(folder.path)
  })

  describe.each(Object.entries(COUNTS))('%s', (name, [sessions, messages, parts, orphans, todos, diffs]) => {
    const data = join(folder.path, name, 'opencode')
    const isJson = name.includes('json')

    it('holds what the table says, and nothing is damaged', async () => {
      await using set = await openSessions({ data })
      const { stores, total } = await verifyStores(set)
      expect(stores.length).toBe(1)
      expect(stores.flatMap((store) => store.damaged)).toEqual([])
      const lost = orphanDocuments(data, isJson)
      expect({ ...total, projects: 0, ignored: 0 }).toEqual({
        sessions,
        messages,
        parts,
        inside: 0,
        todos: todos - lost.todos,
        diffs: diffs - lost.diffs,
        projects: 0,
        orphans: { messages: 0, parts: orphans, ...lost },
        superseded: 0,
        onlyHere: { messages: 0, parts: 0 },
        ignored: 0,
        damaged: 0,
      })
      expect(sum(stores.map(recordsIn))).toBe(onDisk(data))
      expect(await verifyStores(set, { deep: true })).toEqual({ stores, total })
      expect(set.issues).toEqual([])
    })

    it('gives every session as an independent reader does, in the order of (time created, id)', async () => {
      const expected = isJson ? readTree(join(data, 'storage')) : readDatabase(join(data, 'opencode.db'))
      expect(expected.size).toBe(sessions)
      await holdAll(data, expected)
    })

    it('streams what the tree flow gives, and plans at the price that is paid', async () => {
      await using set = await openSessions({ data })
      for await (const result of runSessionFlow(set, { all: true })) await holdStreamed(set, resultOf(result))
    })

    it('gives the todo list and the diffs of every session', async () => {
      await using set = await openSessions({ data })
      const lists = isJson ? treeTodos(join(data, 'storage')) : databaseTodos(join(data, 'opencode.db'))
      expect(lists.size).toBeGreaterThan(0)
      for (const { key } of set.index.sessionsByTime()) {
        expect(await loadTodos(set, key)).toEqual(lists.get(key.session) ?? [])
        const file = join(data, 'storage', 'session_diff', `${key.session}.json`)
        expect(await loadDiffs(set, key)).toEqual(existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : [])
      }
    })
  })

  it('were not written to: every byte is as before (law 3)', () => {
    expect(manifestOf(folder.path)).toEqual(before)
  })

  describe.each(Object.entries(V2_COUNTS))('%s', (name, [sessions, messages, both]) => {
    const data = join(folder.path, name, 'opencode')

    it('holds what the table says, and nothing is damaged', async () => {
      await using set = await openSessions({ data })
      const { stores, total } = await verifyStores(set)
      const parts = [...readV2Database(join(data, 'opencode.db')).values()].flatMap((session) => session.messages.flatMap((m) => m.parts))
      expect(stores.map((store) => [store.kind, store.sessions, store.messages, store.parts, store.superseded])).toEqual([
        ['opencode-v2', sessions, messages, parts.length, 0],
        // what V1 holds of it, V2 has taken over
        ...(both === undefined ? [] : [['opencode-sqlite', 0, 0, 0, both.sessions + both.messages + both.parts]]),
      ])
      expect([total.damaged, total.orphans, total.ignored]).toEqual([0, NO_ORPHANS, 0])
      expect(sum(stores.map(recordsIn))).toBe(onDisk(data))
      expect(set.issues).toEqual([])
    })

    it('gives every session as an independent reader does, in the order of seq', async () => {
      const expected = readV2Database(join(data, 'opencode.db'))
      expect([expected.size, [...expected.values()].flatMap((session) => session.messages).length]).toEqual([sessions, messages])
      await holdAll(data, expected)
    })

    it('streams what the tree flow gives, and plans at the price that is paid', async () => {
      await using set = await openSessions({ data })
      for await (const result of runSessionFlow(set, { all: true })) await holdStreamed(set, resultOf(result))
    })
  })

  it('gives of a database of both generations what stands in the V1 tables, when that is all that is asked', async () => {
    const path = join(folder.path, 'opencode-2.0.26-dual', 'opencode', 'opencode.db')
    const expected = readDatabase(path)
    expect(expected.size).toBe(1)
    const [upper, lower] = await openSqliteStores(path)
    await upper?.[Symbol.asyncDispose]()
    await using set = await createSessionSet(lower === undefined ? [] : [lower])
    for (const [id, session] of expected) expect(await holdAgainst(set, id, session)).toBe(0)
  })
})

/** Todo lists (or rows) and diff files of sessions that are gone. */
function orphanDocuments(data: string, isJson: boolean): { readonly todos: number; readonly diffs: number } {
  const sessions = isJson ? readTree(join(data, 'storage')) : readDatabase(join(data, 'opencode.db'))
  const lists = isJson ? treeTodos(join(data, 'storage')) : databaseTodos(join(data, 'opencode.db'))
  const files = readdirSync(join(data, 'storage', 'session_diff')).map((file) => file.replace('.json', ''))
  return { todos: [...lists.keys()].filter((id) => !sessions.has(id)).length, diffs: files.filter((id) => !sessions.has(id)).length }
}

async function holdAll(data: string, expected: ReadonlyMap<string, PlainSession>): Promise<void> {
  await using set = await openSessions({ data })
  for (const [id, session] of expected) expect(await holdAgainst(set, id, session)).toBe(0)
  expect(set.index.stats().sessions).toBe(expected.size)
}

async function holdStreamed(set: Sessions, streamed: SessionHydratedTree): Promise<void> {
  const planned = await planSessionTree(set, { session: streamed.key })
  expect(issuesOf(planned)).toEqual([])
  const whole = await runSessionTreeFlow(set, { session: streamed.key })
  expect(unsigned(resultOf(whole))).toEqual(unsigned(streamed))
  const [plan, resolve] = whole.reports
  expect([resolve?.files, resolve?.rows, resolve?.bytes]).toEqual([plan?.files, plan?.rows, plan?.bytes])
}

function unsigned(tree: SessionHydratedTree): unknown {
  return { ...tree, messages: tree.messages.map((node) => ({ ...node, signature: undefined, changed: undefined })) }
}
