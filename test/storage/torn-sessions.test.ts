/** Session files that are rewritten in place while they are listed. */
import { existsSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { sessionSource } from '../../src/indexer/session-source.js'
import { openFileStore } from '../../src/storage/files/opencode-files.js'
import { createSessionSet } from '../../src/tree/sessions/session-set.js'
import { type ManualClock, manualClock } from '../support/clocks.js'
import { conversation, corpusSession, sessionDocument } from '../support/corpus.js'
import { eraAFixture, jsonFixture, pretty, type StoreFixture } from '../support/store-fixtures.js'

const START = Date.parse('2026-03-01T10:00:00Z')
const SESSION = corpusSession(START, conversation(START + 1000, 1))
const OTHER = corpusSession(START + 1, [])
const QUIET = corpusSession(START + 2, [])
const WHOLE = pretty(sessionDocument(SESSION))

const fileOf = (fixture: StoreFixture, { id, project } = SESSION): string => join(fixture.path, 'session', project, `${id}.json`)

/** Stands still at the moment after the file was written. */
function clockAfter(path: string, onSleep?: (times: number) => void): ManualClock {
  return manualClock(statSync(path).mtimeMs + 1, onSleep)
}

describe('a session file that is being rewritten', () => {
  it.each([
    ['empty', ''],
    ['cut', WHOLE.slice(0, 30)],
    ['cut at its last bracket', WHOLE.slice(0, -1)],
    ['in one line, and cut behind an inner bracket', '{"id":"x","time":{"created":1}'],
    ['full of NULs', '\0'.repeat(WHOLE.length)],
  ])('is read again until it is whole: %s', async (_name, half) => {
    using fixture = jsonFixture([SESSION, OTHER])
    const path = fileOf(fixture)
    writeFileSync(path, half)
    const clock = clockAfter(path, (times) => times === 2 && writeFileSync(path, WHOLE))
    const store = openFileStore(fixture.path, clock)
    const { entries, issues, complete } = await store.sessions()
    expect(entries.find(({ key }) => key.session === SESSION.id)).toMatchObject({ record: { title: SESSION.info.title }, project: SESSION.project })
    expect(entries.flatMap(({ damage }) => damage ?? [])).toEqual([])
    expect([issues, complete, clock.slept]).toEqual([[], true, [15, 30]])
    // The version is that of the file that was read.
    await using set = await createSessionSet([openFileStore(fixture.path, clock)], { clock })
    expect(set.index.stats().sessions).toBe(2)
  })

  it('is read again in the trees of era A too', async () => {
    using fixture = eraAFixture()([SESSION])
    const path = join(fixture.path, SESSION.project, 'storage', 'session', 'info', `${SESSION.id}.json`)
    writeFileSync(path, '')
    const clock = clockAfter(path, () => writeFileSync(path, WHOLE))
    const store = await fixture.open(clock)
    expect((await store.sessions()).entries).toMatchObject([{ record: { title: SESSION.info.title } }])
    expect(clock.slept).toEqual([15])
  })

  it('waits with the others, not one after the other', async () => {
    using fixture = jsonFixture([SESSION, OTHER, QUIET])
    for (const session of [SESSION, OTHER]) writeFileSync(fileOf(fixture, session), '{')
    const mend = (): void => {
      for (const session of [SESSION, OTHER]) writeFileSync(fileOf(fixture, session), pretty(sessionDocument(session)))
    }
    const clock = clockAfter(fileOf(fixture, OTHER), (times) => times === 3 && mend())
    const store = openFileStore(fixture.path, clock)
    const { entries } = await store.sessions()
    expect(entries.every(({ record }) => record !== undefined)).toBe(true)
    expect(clock.slept).toEqual([15, 30, 60])
    // Three at first, then the two torn ones three times.
    expect(store.work.files).toBe(3 + 2 * 3)
  })

  it('is a transient issue when it stays torn, and its session is listed', async () => {
    using fixture = jsonFixture([SESSION, OTHER])
    const path = fileOf(fixture)
    writeFileSync(path, WHOLE.slice(0, 30))
    const clock = clockAfter(path)
    await using set = await createSessionSet([openFileStore(fixture.path, clock)], { clock })
    expect(clock.slept).toEqual([15, 30, 60, 120])
    expect(set.issues).toMatchObject([{ code: 'SESSION_RECORD_DAMAGED', path, transient: true, key: { session: SESSION.id } }])
    expect(set.index.stats().sessions).toBe(2)
    expect((await sessionSource(set).list()).stores).toEqual([{ path: fixture.path, complete: true }])
  })

  it('is not waited for when it was damaged long ago, or is whole and of another shape', async () => {
    using fixture = jsonFixture([SESSION, OTHER])
    const path = fileOf(fixture)
    for (const [text, ageMs] of [
      [WHOLE.slice(0, 30), 1001],
      ['[]', 1],
    ] as const) {
      writeFileSync(path, text)
      const clock = manualClock(statSync(path).mtimeMs + ageMs)
      const { entries } = await openFileStore(fixture.path, clock).sessions()
      const damage = entries.find(({ key }) => key.session === SESSION.id)?.damage
      expect([damage?.code, damage?.transient, clock.slept]).toEqual(['CORRUPT_RECORD', undefined, []])
    }
  })

  it('may be given up', async () => {
    using fixture = jsonFixture([SESSION])
    const path = fileOf(fixture)
    writeFileSync(path, '')
    const controller = new AbortController()
    const reason = new Error('enough')
    const clock = clockAfter(path, () => controller.abort(reason))
    await expect(openFileStore(fixture.path, clock).sessions({ signal: controller.signal })).rejects.toBe(reason)
    expect(clock.slept).toEqual([15])
  })

  it('is not listed when it was removed meanwhile; a link that leads nowhere is an issue', async () => {
    using fixture = jsonFixture([SESSION, OTHER])
    const path = fileOf(fixture)
    writeFileSync(path, '')
    const clock = clockAfter(path, () => existsSync(path) && rmSync(path))
    const store = openFileStore(fixture.path, clock)
    expect((await store.sessions()).entries.map(({ key }) => key.session)).toEqual([OTHER.id])
    symlinkSync('/nowhere', path)
    const { entries } = await store.sessions()
    expect(entries.find(({ key }) => key.session === SESSION.id)?.damage).toMatchObject({ code: 'UNREADABLE_RECORD', path })
  })
})
