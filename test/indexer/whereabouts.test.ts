/** Sessions whose store is not looked at, or is looked at by another path: an older copy does not take their place, and what is gone goes. */
import { appendFileSync, cpSync, mkdirSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { StorageError } from '../../src/core/errors.js'
import { sessionSource } from '../../src/indexer/session-source.js'
import type { SessionSource } from '../../src/indexer/source.js'
import { countDeleted, countStale, indexedIn } from '../../src/indexer/staleness.js'
import { openSessions } from '../../src/open.js'
import { conversation, corpusSession } from '../support/corpus.js'
import { type Rig, rig } from '../support/index-rig.js'
import { jsonFixture, sqliteFixture } from '../support/store-fixtures.js'
import { tempFolder } from '../support/temp.js'

const HOUR = 3_600_000
const START = Date.parse('2026-03-01T10:00:00Z')

/** A line of Claude Code's log: a question, or an answer that has ended. */
function line(session: string, at: number, text: string): string {
  const type = at % 2 === 0 ? 'user' : 'assistant'
  const content = type === 'user' ? text : [{ type: 'text', text }]
  const message = { role: type, content, ...(type === 'assistant' && { id: `msg_${at}`, stop_reason: 'end_turn' }) }
  const parentUuid = at === 0 ? null : `u${at - 1}`
  const time = new Date(Date.UTC(2026, 0, 2, 3, 4, at)).toISOString()
  return `${JSON.stringify({ parentUuid, isSidechain: false, cwd: '/work', sessionId: session, version: '2.1.0', type, message, uuid: `u${at}`, timestamp: time })}\n`
}

const logIn = (home: string, session: string): string => join(home, '.claude', 'projects', '-work', `${session}.jsonl`)

function write(home: string, session: string, texts: readonly string[]): void {
  const path = logIn(home, session)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, texts.map((text, at) => line(session, at, text)).join(''))
  settle(path)
}

/** Long ago, so that nothing waits for more of it. */
function settle(path: string): void {
  utimesSync(path, new Date(Date.now() - HOUR), new Date(Date.now() - HOUR))
}

interface Index extends AsyncDisposable {
  readonly it: Rig
  /** A process that looks at these alone. */
  run(...data: readonly string[]): Promise<{ readonly elsewhere: number; readonly behind: number; readonly removed: number; readonly failed: number }>
}

let pids = 1

async function indexed(): Promise<Index> {
  const it = await rig()
  it.clock.advance(Date.now() - it.clock.wall)
  return {
    it,
    async run(...data) {
      await using sessions = await openSessions({ data })
      const { indexer } = await it.join(++pids, { sessions: sessionSource(sessions) })
      const { elsewhere, behind, removed } = await indexer.observe()
      const { failed } = await indexer.drain()
      return { elsewhere, behind, removed, failed }
    },
    [Symbol.asyncDispose]: () => it[Symbol.asyncDispose](),
  }
}

const textsOf = ({ it }: Index): readonly string[] => [...it.sink.rows.values()].map(({ text }) => text).sort()

/** A home, and an older copy of it. */
function goneOn(folder: string): { readonly own: string; readonly old: string } {
  const [own, old] = [join(folder, 'own'), join(folder, 'old')]
  write(own, 'ses_a', ['one', 'two'])
  cpSync(own, old, { recursive: true, preserveTimestamps: true })
  write(own, 'ses_a', ['one', 'two', 'three', 'four'])
  return { own, old }
}

describe('a session whose store is not looked at', () => {
  it('does not give way to an older copy, comes back with its store, and gives way to a copy that goes on', async () => {
    using folder = tempFolder()
    const { own, old } = goneOn(folder.path)
    await using index = await indexed()
    await index.run(join(own, '.claude'))
    const all = ['four', 'one', 'three', 'two']
    expect(textsOf(index)).toEqual(all)
    for (let time = 0; time < 2; time++) {
      expect(await index.run(join(old, '.claude'))).toEqual({ elsewhere: 1, behind: 1, removed: 0, failed: 0 })
      expect(textsOf(index)).toEqual(all)
    }
    expect(await index.run(join(own, '.claude'))).toEqual({ elsewhere: 0, behind: 0, removed: 0, failed: 0 })
    await using gone = await indexed()
    await gone.run(join(own, '.claude'))
    await gone.it.indexer.forget(gone.it.state.sessions().map(({ key }) => key))
    expect(await gone.run(join(old, '.claude'))).toMatchObject({ elsewhere: 0, behind: 0 })
    expect(textsOf(gone)).toEqual(['one', 'two'])
    write(old, 'ses_a', ['one', 'two', 'another', 'way', 'on'])
    expect(await index.run(join(old, '.claude'))).toMatchObject({ elsewhere: 0, behind: 0 })
    expect(textsOf(index)).toEqual(['another', 'on', 'one', 'two', 'way'])
  })

  it('is not behind where no run of the indexer changes it', async () => {
    using folder = tempFolder()
    const [own, old] = [join(folder.path, 'own'), join(folder.path, 'old')]
    write(own, 'ses_a', ['one', 'two', 'three', 'four'])
    write(old, 'ses_a', ['one', 'two'])
    await using index = await indexed()
    await index.run(join(own, '.claude'))
    await index.run(join(old, '.claude'))
    const stale = async (home: string): Promise<number> => {
      await using sessions = await openSessions({ data: join(home, '.claude') })
      return await countStale(index.it.state, sessions)
    }
    expect(await stale(old)).toBe(0)
    write(own, 'ses_a', ['one', 'two', 'three', 'four', 'five'])
    expect(await stale(own)).toBe(1)
  })

  it('is asked again when the copy could not be read once', async () => {
    using folder = tempFolder()
    const [own, moved] = [join(folder.path, 'own'), join(folder.path, 'moved')]
    write(own, 'ses_a', ['one', 'two'])
    await using index = await indexed()
    await index.run(join(own, '.claude'))
    renameSync(own, moved)
    await using sessions = await openSessions({ data: join(moved, '.claude') })
    const source = sessionSource(sessions)
    let failing = true
    const messages: SessionSource['messages'] = async (key) => {
      if (failing) throw new StorageError('STORE_BUSY', { reason: 'once' })
      return sessions.index.messages(key)
    }
    const { indexer } = await index.it.join(++pids, { sessions: { ...source, messages } })
    expect(await indexer.observe()).toMatchObject({ elsewhere: 1, behind: 0 })
    failing = false
    expect(await indexer.observe()).toMatchObject({ elsewhere: 0, behind: 0 })
  })

  it('gives way to a copy that has all of it, and is there with it from then on', async () => {
    using folder = tempFolder()
    const [own, moved] = [join(folder.path, 'own'), join(folder.path, 'moved')]
    write(own, 'ses_a', ['one', 'two'])
    await using index = await indexed()
    await index.run(join(own, '.claude'))
    renameSync(own, moved)
    expect(await index.run(join(moved, '.claude'))).toMatchObject({ elsewhere: 0, removed: 0 })
    expect(index.it.state.sessions()).toMatchObject([{ store: join(moved, '.claude', 'projects') }])
    rmSync(logIn(moved, 'ses_a'))
    write(moved, 'ses_b', ['other'])
    expect(await index.run(join(moved, '.claude'))).toMatchObject({ removed: 1 })
    expect(textsOf(index)).toEqual(['other'])
  })

  it('is not read from the older copy either when it was queued before', async () => {
    using folder = tempFolder()
    const { own, old } = goneOn(folder.path)
    await using index = await indexed()
    await index.run(join(own, '.claude'))
    await index.it.state.wake(
      index.it.state.sessions().map(({ key }) => key),
      'fresh',
    )
    expect(await index.run(join(old, '.claude'))).toMatchObject({ behind: 1, failed: 1 })
    expect(textsOf(index)).toHaveLength(4)
    expect(index.it.state.status().lastError).toMatchObject({ code: 'STORE_NOT_READY' })
  })

  it('goes on in the database that OpenCode made of its files', async () => {
    const talk = conversation(START + 1000, 12)
    using files = jsonFixture([corpusSession(START, talk.slice(0, -2))])
    using database = sqliteFixture('1.18')([corpusSession(START, talk)])
    await using index = await indexed()
    await index.run(files.path)
    expect(textsOf(index)).toHaveLength(talk.length - 2)
    expect(await index.run(database.path)).toMatchObject({ elsewhere: 0, removed: 0, failed: 0 })
    expect(textsOf(index)).toHaveLength(talk.length)
    expect(await index.run(files.path)).toMatchObject({ behind: 1, failed: 0 })
    expect(textsOf(index)).toHaveLength(talk.length)
  })
})

describe('a session that is gone from a store that another path leads to', () => {
  it.each<[string, (home: string) => string]>([
    ['its log', (home) => logIn(home, 'ses_a')],
    ['the folder of its project', (home) => dirname(logIn(home, 'ses_a'))],
    [
      'a link',
      (home) => {
        symlinkSync(join(home, '.claude'), join(home, 'link'))
        return join(home, 'link')
      },
    ],
  ])('leaves the index, also when it was last listed by %s', async (_name, pathIn) => {
    using folder = tempFolder()
    write(folder.path, 'ses_a', ['one', 'two'])
    write(folder.path, 'ses_b', ['other'])
    await using index = await indexed()
    await index.run(join(folder.path, '.claude'))
    await index.run(pathIn(folder.path))
    rmSync(logIn(folder.path, 'ses_a'))
    {
      await using sessions = await openSessions({ data: join(folder.path, '.claude') })
      expect(await countDeleted(index.it.state, sessions)).toBe(1)
      expect(await countDeleted(index.it.state, sessions, { sessions: ['ses_a'] })).toBe(0)
      expect((await indexedIn(index.it.state, sessions)).map(({ session }) => session).sort()).toEqual(['ses_a', 'ses_b'])
    }
    expect(await index.run(join(folder.path, '.claude'))).toMatchObject({ elsewhere: 0, removed: 1 })
    expect(textsOf(index)).toEqual(['other'])
  })

  it('goes on, whatever another folder of the store around it hides', async () => {
    using folder = tempFolder()
    write(folder.path, 'ses_a', ['one', 'two'])
    await using index = await indexed()
    await index.run(dirname(logIn(folder.path, 'ses_a')))
    const circle = join(folder.path, '.claude', 'projects', '-bad')
    symlinkSync(circle, circle)
    write(folder.path, 'ses_a', ['one', 'two', 'three', 'four'])
    expect(await index.run(join(folder.path, '.claude'))).toEqual({ elsewhere: 0, behind: 0, removed: 0, failed: 0 })
    expect(textsOf(index)).toEqual(['four', 'one', 'three', 'two'])
  })

  it('stays while a link on its way leads nowhere', async () => {
    using folder = tempFolder()
    const [home, away] = [join(folder.path, 'home'), join(folder.path, 'away')]
    write(home, 'ses_b', ['other'])
    write(away, 'ses_a', ['one', 'two'])
    const project = join(home, '.claude', 'projects', 'linked')
    symlinkSync(dirname(logIn(away, 'ses_a')), project)
    await using index = await indexed()
    await index.run(project)
    renameSync(away, `${away}.unmounted`)
    expect(await index.run(join(home, '.claude'))).toMatchObject({ elsewhere: 1, removed: 0 })
    expect(textsOf(index)).toEqual(['one', 'other', 'two'])
  })
})

it('a session that is deleted between its listing and its reading is removed, and no failure', async () => {
  using folder = tempFolder()
  write(folder.path, 'ses_a', ['one', 'two'])
  write(folder.path, 'ses_b', ['other'])
  await using sessions = await openSessions({ data: join(folder.path, '.claude') })
  await using it = await rig({ sessions: sessionSource(sessions) })
  it.clock.advance(Date.now() - it.clock.wall)
  await it.run()
  appendFileSync(logIn(folder.path, 'ses_a'), line('ses_a', 2, 'three'))
  settle(logIn(folder.path, 'ses_a'))
  await it.indexer.observe()
  rmSync(logIn(folder.path, 'ses_a'))
  await sessions.refresh()
  expect(await it.indexer.drain()).toMatchObject({ failed: 0 })
  expect([...it.sink.rows.values()].map(({ text }) => text)).toEqual(['other'])
  expect(it.state.status()).toMatchObject({ lastError: null, counters: { failures: 0 }, queue: { ready: 0, backoff: 0 } })
})
