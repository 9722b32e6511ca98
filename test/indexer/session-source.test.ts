/** What cannot be read is neither deleted nor forgotten. A link to itself cannot be opened, not even by root. */
import { chmodSync, mkdirSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { sessionSource } from '../../src/indexer/session-source.js'
import { openFileStore } from '../../src/storage/files/opencode-files.js'
import { fixedStores } from '../../src/storage/store-source.js'
import { createSessionSet } from '../../src/tree/sessions/session-set.js'
import type { Sessions } from '../../src/tree/sessions/sessions.js'
import { libraryForOthers, runAsNobody } from '../support/as-nobody.js'
import { conversation, corpusSession, DAY, WRAP } from '../support/corpus.js'
import { type Rig, rig } from '../support/index-rig.js'
import { contentOf } from '../support/index-world.js'
import { jsonFixture, type StoreFixture } from '../support/store-fixtures.js'
import { tempFolder } from '../support/temp.js'
import { keyOf } from '../support/trees.js'
import { watched } from '../support/watched-store.js'

const SESSION = corpusSession(WRAP - 3 * DAY, conversation(WRAP - 3 * DAY + 1000, 12))
const [OLDEST] = SESSION.messages
const OTHER = corpusSession(WRAP - 2 * DAY, conversation(WRAP - 2 * DAY, 2))

interface Place extends AsyncDisposable {
  readonly fixture: StoreFixture
  readonly sessions: Sessions
  readonly it: Rig
}

async function place(): Promise<Place> {
  const fixture = jsonFixture([SESSION, OTHER])
  const sessions = await createSessionSet([await fixture.open()])
  const it = await rig({ sessions: sessionSource(sessions) })
  it.clock.advance(WRAP - it.clock.wall)
  await it.run()
  return {
    fixture,
    sessions,
    it,
    async [Symbol.asyncDispose]() {
      await it[Symbol.asyncDispose]()
      await sessions.close()
      fixture[Symbol.dispose]()
    },
  }
}

/** Gives back what makes it readable again. */
function close(path: string): () => void {
  renameSync(path, `${path}.aside`)
  symlinkSync(path, path)
  return () => {
    rmSync(path)
    renameSync(`${path}.aside`, path)
  }
}

const partFolder = ({ fixture }: Place): string => join(fixture.path, 'part', OLDEST?.id ?? '')
const incomplete = ({ it }: Place): boolean => it.state.sessions().some((session) => session.incomplete)
const textsOf = ({ it }: Place): string => [...it.sink.rows.values()].map(({ text }) => text).join('\n')

describe('a session of which something cannot be read', () => {
  it.each<[string, (place: Place) => string]>([
    ['the parts of an old message', partFolder],
    ['one part', (there) => join(partFolder(there), `${OLDEST?.parts[0]?.id}.json`)],
    ['a message record', ({ fixture }) => join(fixture.path, 'message', SESSION.id, `${OLDEST?.id}.json`)],
    ['the folder of its messages', ({ fixture }) => join(fixture.path, 'message', SESSION.id)],
  ])('keeps its documents: %s', async (_name, pathIn) => {
    await using there = await place()
    const { it: index } = there
    const before = contentOf(index.sink)
    const open = close(pathIn(there))
    for (let i = 0; i < 3; i++) {
      await index.run()
      index.clock.advance(1_000_000)
    }
    expect(contentOf(index.sink)).toEqual(before)
    expect(incomplete(there)).toBe(true)
    open()
    await index.run()
    expect(contentOf(index.sink)).toEqual(before)
    expect(incomplete(there)).toBe(false)
  })

  it('is checked again when it can be read, its old messages too', async () => {
    await using there = await place()
    const open = close(partFolder(there))
    await there.it.run()
    open()
    const part = OLDEST?.parts[0]?.id ?? ''
    const edited = { session: SESSION.id, message: OLDEST?.id ?? '', part }
    there.fixture.write(edited, JSON.stringify({ type: 'text', text: 'edited in the dark' }), WRAP - 2 * DAY)
    there.it.clock.advance(1_000_000)
    await there.it.run()
    expect(textsOf(there)).toContain('edited in the dark')
  })

  it('hands over no message that was not read as a whole, and says that it is not complete', async () => {
    await using there = await place()
    const source = sessionSource(there.sessions)
    close(partFolder(there))
    const tail = await source.tail(keyOf(SESSION.id), () => undefined)
    expect(tail.complete).toBe(false)
    expect(tail.present).toContain(OLDEST?.id)
    expect(tail.messages.map(({ key }) => key.message)).not.toContain(OLDEST?.id)
    expect(tail.messages).toHaveLength(SESSION.messages.length - 1)
  })
})

it('a folder whose rights do not let it be read withholds its message, in a process that rights bind', () => {
  using folder = tempFolder()
  const library = libraryForOthers(folder.path)
  chmodSync(folder.path, 0o755)
  using fixture = jsonFixture([SESSION])
  chmodSync(dirname(dirname(fixture.path)), 0o755)
  const closed = join(fixture.path, 'part', OLDEST?.id ?? '')
  chmodSync(closed, 0)
  const body = `
    const { sessionSource } = await import(${JSON.stringify(join(library, 'dist', 'indexer', 'session-source.js'))})
    const sessions = await lib.openSessions({ data })
    const tail = await sessionSource(sessions).tail(sessions.index.sessionsByTime()[0].key, () => undefined)
    await sessions.close()
    return { complete: tail.complete, present: tail.present.length, messages: tail.messages.map(({ key }) => key.message) }`
  const said = runAsNobody(library, fixture.path, body) as { messages: string[] }
  chmodSync(closed, 0o755)
  expect(said).toMatchObject({ complete: false, present: SESSION.messages.length })
  expect(said.messages).toEqual(SESSION.messages.slice(1).map(({ id }) => id))
})

describe('a listing', () => {
  it('tells of each store whether it was listed as a whole', async () => {
    await using there = await place()
    using second = jsonFixture([corpusSession(WRAP - DAY, [])])
    const sessions = await createSessionSet(
      fixedStores(
        [await there.fixture.open(), await second.open()],
        [{ code: 'STORE_UNSUPPORTED', path: '/elsewhere/opencode.db', reason: 'it is of another program' }],
      ),
    )
    const source = sessionSource(sessions)
    const storesNow = async (): Promise<boolean[]> => (await source.list()).stores.map(({ complete }) => complete)
    expect((await source.list()).stores.map(({ path }) => path)).toEqual([there.fixture.path, second.path])
    expect(await storesNow()).toEqual([true, true])
    const open = close(join(second.path, 'session', SESSION.project))
    expect(await storesNow()).toEqual([true, false])
    const nobody = keyOf('ses_nobody')
    expect(await source.revision(nobody, there.fixture.path)).toBeUndefined()
    await expect(source.revision(nobody, second.path)).rejects.toMatchObject({ code: 'STORE_UNREADABLE' })
    await expect(source.revision(nobody, '/elsewhere/opencode.db')).rejects.toMatchObject({ code: 'STORE_UNREADABLE' })
    await expect(source.revision(nobody)).rejects.toMatchObject({ code: 'STORE_UNREADABLE' })
    open()
    // A tree that was moved away while it was open.
    renameSync(second.path, `${second.path}.aside`)
    expect(await storesNow()).toEqual([true, false])
    mkdirSync(second.path)
    expect(await storesNow()).toEqual([true, false])
    await sessions.close()
  })

  it('is made once for all that ask at the same time', async () => {
    using fixture = jsonFixture([SESSION])
    const { store, calls } = watched(openFileStore(fixture.path, { now: () => WRAP, monotonic: () => 0, sleep: async () => undefined }))
    const sessions = await createSessionSet([store])
    const source = sessionSource(sessions)
    const listings = (): number => calls.filter((name) => name === 'sessions').length
    const before = listings()
    const asked = ['ses_1', 'ses_2', 'ses_3'].map((id) => source.revision(keyOf(id), fixture.path))
    expect(await Promise.all(asked)).toEqual([undefined, undefined, undefined])
    expect(listings() - before).toBe(1)
    await sessions.close()
  })
})

it('a run of many claims lists no store: the listing before it is enough', async () => {
  const many = Array.from({ length: 12 }, (_, i) => corpusSession(WRAP - 3 * DAY + i * 60_000, conversation(WRAP - 3 * DAY + i * 60_000 + 1000, 2)))
  using fixture = jsonFixture(many)
  await using sessions = await createSessionSet([await fixture.open()])
  await using it = await rig({ sessions: sessionSource(sessions) })
  it.clock.advance(WRAP - it.clock.wall)
  const { refresh } = sessions
  let listings = 0
  sessions.refresh = (options) => {
    listings++
    return refresh.call(sessions, options)
  }
  await it.indexer.observe()
  expect(listings).toBe(1)
  expect(await it.indexer.drain()).toMatchObject({ claims: 12, failed: 0 })
  expect(listings).toBe(1)
  expect(await it.indexer.verify()).toMatchObject({ sessions: 12, differences: [] })
  expect(listings).toBe(2)
})
