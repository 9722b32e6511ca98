/** Stores from public repositories: hand-written, cut down, or of versions in between. None may crash a reader. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openSessions } from '../../src/open.js'
import { verifyStores } from '../../src/tree/verify.js'
import { holdAgainst, readDatabase, readTree } from '../support/independent-reader.js'
import { filesBelow, recordsIn, rowsOf, sum } from '../support/ledger-balance.js'
import { manifestOf } from '../support/manifest.js'
import { SETS_ARE_HERE, unpackSets } from '../support/real-sets.js'
import { tempFolder } from '../support/temp.js'

const here = SETS_ARE_HERE ? describe : describe.skip
const folder = tempFolder()
const SAMPLES = join(folder.path, 'samples')
afterAll(() => folder[Symbol.dispose]())

interface TreeFacts {
  readonly layout: string
  readonly sessions: number
  readonly messages: number
  readonly parts: number
  readonly orphan_messages: number
}

here('samples from public repositories (../shared/data/samples.tar.gz)', () => {
  let facts: Readonly<Record<string, TreeFacts>> = {}
  let before: Readonly<Record<string, string>> = {}
  beforeAll(() => {
    unpackSets(folder.path)
    facts = JSON.parse(readFileSync(join(SAMPLES, 'FACTS.json'), 'utf8')).storage_trees
    before = manifestOf(SAMPLES)
  })

  it('reads every tree derived from recorded sessions, whole, orphans counted', async () => {
    const trees = Object.entries(facts).filter(([path]) => path.startsWith('derived-storage/'))
    expect(trees.length).toBeGreaterThan(20)
    for (const [path, fact] of trees) {
      const data = join(SAMPLES, path)
      await using set = await openSessions({ data })
      const { total, stores } = await verifyStores(set)
      expect([path, sum(stores.map(recordsIn))]).toEqual([path, filesBelow(data)])
      const lost = total.orphans.messages + total.orphans.parts
      const records = fact.sessions + fact.messages + fact.parts
      expect([path, total.damaged, total.sessions, total.sessions + total.messages + total.parts + lost]).toEqual([path, 0, fact.sessions, records])
      expect(lost).toBeGreaterThanOrEqual(fact.orphan_messages)
      for (const [id, session] of readTree(data)) await holdAgainst(set, id, session)
    }
  })

  it.each(storesIn())('reads %s and crashes on nothing', async (path) => {
    const data = join(SAMPLES, path)
    await using set = await openSessions({ data })
    const { total, stores } = await verifyStores(set)
    expect(sum(stores.map(recordsIn))).toBe(path.endsWith('.db') ? rowsOf(data) + diffsBeside(data) : filesBelow(data))
    const expected = path.endsWith('.db') ? readDatabaseIfWhole(data) : readTree(data)
    if (expected === undefined) return expect(total.sessions).toBe(0)
    expect(total.sessions).toBe([...expected.values()].filter(({ session }) => session !== undefined).length)
    for (const [id, session] of expected) await holdAgainst(set, id, session)
  })

  it('were not written to', () => {
    expect(manifestOf(SAMPLES)).toEqual(before)
  })
})

/** What a database counts beside its rows, unless a tree stands there. */
function diffsBeside(database: string): number {
  const storage = join(database, '..', 'storage')
  return existsSync(join(storage, 'session')) ? 0 : filesBelow(storage)
}

/** Tests are named before anything is unpacked, so these are listed by hand; the last test of all checks that they are there. */
function storesIn(): string[] {
  return [
    'linchen1987+opencode-project-manager/v2026-03-23/opencode/opencode.db',
    'git-ai-project+git-ai/opencode-sqlite/opencode.db',
    'git-ai-project+git-ai/opencode-sqlite-empty/opencode.db',
    'git-ai-project+git-ai/opencode-storage',
    'holgern+toktrail/opencode.db',
    'junhoyeo+tokscale/.local/share/opencode/storage',
    'jazzyalex+agent-sessions/opencode/storage_legacy',
    'jazzyalex+agent-sessions/opencode/storage_v2',
  ]
}

function readDatabaseIfWhole(path: string): ReturnType<typeof readDatabase> | undefined {
  try {
    return readDatabase(path)
  } catch {
    return undefined
  }
}
