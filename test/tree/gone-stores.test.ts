/** Stores that are deleted, come back, or cannot be opened: what is told of their sessions. */
import { cpSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { openSessions } from '../../src/open.js'
import type { SessionChanges, Sessions } from '../../src/tree/sessions/sessions.js'
import { type CorpusSession, corpusSession, userMessage } from '../support/corpus.js'
import { sqliteFixture } from '../support/store-fixtures.js'
import { tempFolder } from '../support/temp.js'

const START = Date.parse('2026-09-01T10:00:00Z')

const FILES = ['', '-wal'] as const

function copyDatabase(from: string, to: string): void {
  for (const end of FILES) if (existsSync(from + end)) cpSync(from + end, to + end)
}

function removeDatabase(path: string): void {
  for (const end of [...FILES, '-shm']) rmSync(path + end, { force: true })
}

/** Two databases, each with sessions of its own. */
async function databases(): Promise<{ readonly sessions: Sessions; readonly path: string; readonly ids: readonly string[] } & AsyncDisposable> {
  const root = tempFolder()
  const [kept, gone] = [1, 2].map((n) => {
    const corpus = [0, 1, 2].map((at): CorpusSession => corpusSession(START + n * 60_000 + at, [userMessage(START + n * 60_000 + at + 5)]))
    using fixture = sqliteFixture('1.2.1')(corpus)
    const folder = join(root.path, `data${n}`)
    mkdirSync(folder)
    const path = join(folder, 'opencode.db')
    copyDatabase(fixture.path, path)
    return { path, ids: corpus.map(({ id }) => id).sort() }
  })
  if (kept === undefined || gone === undefined) throw new Error('two were made')
  const sessions = await openSessions({ data: [kept.path, gone.path] })
  return {
    sessions,
    ...gone,
    async [Symbol.asyncDispose]() {
      await sessions.close()
      root[Symbol.dispose]()
    },
  }
}

function told({ added, changed, removed }: SessionChanges): Record<string, readonly string[]> {
  const ids = (keys: SessionChanges['added']): readonly string[] => keys.map(({ session }) => session).sort()
  return { added: ids(added), changed: ids(changed), removed: ids(removed) }
}

const NOTHING = { added: [], changed: [], removed: [] }

it('the sessions of a database that is deleted are removed, once; they are added when it comes back', async () => {
  await using at = await databases()
  copyDatabase(at.path, `${at.path}-copy`)
  removeDatabase(at.path)
  expect(told(await at.sessions.refresh())).toEqual({ ...NOTHING, removed: at.ids })
  expect(at.sessions.index.stats().sessions).toBe(3)
  expect(at.sessions.issues.map(({ code }) => code)).toEqual(['STORE_MISSING'])
  for (let round = 0; round < 3; round++) expect(told(await at.sessions.refresh())).toEqual(NOTHING)
  copyDatabase(`${at.path}-copy`, at.path)
  expect(told(await at.sessions.refresh())).toEqual({ ...NOTHING, added: at.ids })
  expect(at.sessions.issues).toEqual([])
})

it('those of a database that cannot be opened are not removed, before it is deleted', async () => {
  await using at = await databases()
  removeDatabase(at.path)
  writeFileSync(at.path, 'This was a database.')
  for (let round = 0; round < 2; round++) expect(told(await at.sessions.refresh())).toEqual(NOTHING)
  expect(at.sessions.issues.map(({ path }) => path)).toEqual([at.path])
  removeDatabase(at.path)
  expect(told(await at.sessions.refresh())).toEqual({ ...NOTHING, removed: at.ids })
  expect(told(await at.sessions.refresh())).toEqual(NOTHING)
})
