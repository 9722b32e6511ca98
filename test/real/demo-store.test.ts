/** The demo store: real OpenCode wrote it, `contents.json` says what it holds, and one record in it is damaged. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openSessions } from '../../src/open.js'
import { runSessionFlow } from '../../src/tree/flow.js'
import type { StoreLedger } from '../../src/tree/ledger.js'
import { loadDiffs, loadSessionTree, loadTodos, type SessionTree } from '../../src/tree/loader.js'
import { verifyStores } from '../../src/tree/verify.js'
import { holdAgainst, readDatabase, readTree } from '../support/independent-reader.js'
import { manifestOf } from '../support/manifest.js'
import { REPOSITORY } from '../support/real-sets.js'
import { issuesIn, resultOf } from '../support/trees.js'

interface Contents {
  readonly json: Readonly<Record<string, number>>
  readonly sqlite: Readonly<Record<string, number>>
  readonly damaged: readonly string[]
  readonly scenarios: readonly {
    readonly store: 'json' | 'sqlite'
    readonly session: string
    readonly title: string
    readonly children: readonly string[]
  }[]
}

const STORE = join(REPOSITORY, 'examples', 'demo-store')
const DATA = join(STORE, 'opencode')
const CONTENTS: Contents = JSON.parse(readFileSync(join(STORE, 'contents.json'), 'utf8'))

describe('the demo store', () => {
  it('holds what contents.json says, its one damaged record included', async () => {
    await using set = await openSessions({ data: DATA })
    const { stores } = await verifyStores(set)
    const of = (kind: string): StoreLedger => stores.find((store) => store.kind === kind) as StoreLedger
    for (const [name, contents] of [
      ['opencode-json', CONTENTS.json],
      ['opencode-sqlite', CONTENTS.sqlite],
    ] as const) {
      const { sessions, messages, parts, orphans, projects } = of(name)
      const keys = set.index.sessionsByTime().flatMap(({ key, source }) => (source.kind === name ? [key] : []))
      const todos = (await Promise.all(keys.map((key) => loadTodos(set, key)))).flat().length
      const diffs = (await Promise.all(keys.map((key) => loadDiffs(set, key)))).flat().length
      expect({ sessions, messages, parts, orphans: orphans.messages + orphans.parts, todos, diffs, projects }).toEqual(contents)
    }
    expect(stores.flatMap(({ damaged }) => damaged.map(({ path }) => path))).toEqual(CONTENTS.damaged.map((path) => join(DATA, path)))
  })

  it('gives every session as an independent reader does, and names the damage', async () => {
    await using set = await openSessions({ data: DATA })
    const expected = new Map([...readTree(join(DATA, 'storage')), ...readDatabase(join(DATA, 'opencode.db'))])
    let issues = 0
    for (const [id, session] of expected) issues += await holdAgainst(set, id, session)
    expect(issues).toBe(CONTENTS.damaged.length)
    expect(set.index.stats().sessions).toBe(expected.size)
  })

  it('has the scenarios, with their titles and children', async () => {
    await using set = await openSessions({ data: DATA })
    expect(CONTENTS.scenarios.length).toBeGreaterThan(10)
    for (const { session, title, children, store } of CONTENTS.scenarios) {
      const meta = set.index.sessionsByTime().find(({ id }) => id === session)
      expect([meta?.title, meta?.source.kind]).toEqual([title, `opencode-${store}`])
      const tree = await loadSessionTree(set, session as Parameters<typeof loadSessionTree>[1])
      expect(childrenOf(tree).sort()).toEqual([...children].sort())
    }
  })

  it('streams whole, and is not written to (law 3)', async () => {
    const before = manifestOf(DATA)
    await using set = await openSessions({ data: DATA })
    let issues = 0
    let sessions = 0
    for await (const result of runSessionFlow(set, { all: true })) {
      issues += issuesIn(result).length
      expect(resultOf(result).session).toBeDefined()
      sessions++
    }
    expect([sessions, issues]).toEqual([set.index.stats().sessions, CONTENTS.damaged.length])
    expect(manifestOf(DATA)).toEqual(before)
  })
})

function childrenOf(tree: SessionTree): string[] {
  return tree.children.map(({ meta }) => meta.id)
}
