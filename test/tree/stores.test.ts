/** What is told of the stores: what each holds, what hides what, and what cannot be read. */
import { mkdirSync, readdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { StorageError } from '../../src/core/errors.js'
import { openSessions } from '../../src/open.js'
import { createSessionSet } from '../../src/tree/sessions/session-set.js'
import { describeStores } from '../../src/tree/sessions/stores.js'
import { conversation, corpusSession, sampleCorpus, WRAP } from '../support/corpus.js'
import { everyEra, KINDS } from '../support/every-era.js'
import { jsonFixture, memoryFixture } from '../support/store-fixtures.js'

describe('describeStores', () => {
  it('tells for every era what it holds and what hides what; a database of two counts once', async () => {
    using era = everyEra()
    await using set = await openSessions({ data: era.data })
    const { stores, issues, total } = await describeStores(set)
    expect(stores.map(({ kind }) => kind)).toEqual(KINDS)
    expect(stores.map(({ sessions, messages, parts }) => [sessions, messages, parts])).toEqual([
      [1, 4, undefined],
      [2, 8, 12],
      [3, 12, 18],
      [4, 16, 24],
    ])
    expect(stores.map(({ partsInMessages }) => partsInMessages)).toEqual([true, false, false, false])
    expect(stores.map(({ shown }) => shown)).toEqual([1, 1, 1, 1])
    const kindsOf = (copies: readonly { kind: string; sessions: number }[]): string[] => copies.map(({ kind, sessions }) => `${sessions} ${kind}`)
    expect(stores.map(({ hides }) => kindsOf(hides).sort())).toEqual([
      ['1 opencode-era-a', '1 opencode-json', '1 opencode-sqlite'],
      ['1 opencode-era-a', '1 opencode-json'],
      ['1 opencode-era-a'],
      [],
    ])
    expect(stores.map(({ hiddenBy }) => kindsOf(hiddenBy).sort())).toEqual([
      [],
      ['1 opencode-v2'],
      ['1 opencode-sqlite', '1 opencode-v2'],
      ['1 opencode-json', '1 opencode-sqlite', '1 opencode-v2'],
    ])
    expect(issues).toMatchObject([{ code: 'STORE_UNSUPPORTED', path: era.stranger }])
    const [v2, v1, tree, older] = stores.map(({ bytes }) => bytes ?? 0) as [number, number, number, number]
    expect(v2).toBe(v1)
    expect(total).toEqual({ sessions: 4, bytes: v1 + tree + older })
  })

  it('has no place for damaged records: they are no stores', async () => {
    using tree = jsonFixture([corpusSession(WRAP, conversation(WRAP, 1))])
    writeFileSync(`${tree.path}/session/${sampleCorpus()[0].project}/ses_bad.json`, '{"id":')
    await using set = await createSessionSet([await tree.open()])
    expect(set.issues.length).toBeGreaterThan(0)
    expect((await describeStores(set)).issues).toEqual([])
  })

  it('counts records where records stand: in folders that are links, too, and in no folder of somebody else', async () => {
    using tree = jsonFixture([corpusSession(WRAP, conversation(WRAP, 1))])
    using elsewhere = jsonFixture([])
    const before = await (await tree.open()).totals()
    const [project] = readdirSync(join(tree.path, 'session')) as [string]
    for (const kind of ['session', 'message', 'part']) {
      for (const folder of readdirSync(join(tree.path, kind))) {
        renameSync(join(tree.path, kind, folder), join(elsewhere.path, `${kind}-${folder}`))
        symlinkSync(join(elsewhere.path, `${kind}-${folder}`), join(tree.path, kind, folder))
      }
    }
    symlinkSync('..', join(tree.path, 'session', project, 'circle'))
    mkdirSync(join(tree.path, 'message', 'ses_x', 'backup'), { recursive: true })
    for (const name of ['session/stray', 'message/ses_x/backup/msg_x']) writeFileSync(join(tree.path, `${name}.json`), '')
    const { bytes, ...counts } = await (await tree.open()).totals()
    expect({ ...counts, bytes: before.bytes }).toEqual(before)
    expect(bytes).toBeGreaterThanOrEqual(before.bytes)
  })

  it('lets others work while it counts, and ends when it is told to', async () => {
    using tree = jsonFixture([])
    mkdirSync(join(tree.path, 'part', 'msg_many'), { recursive: true })
    for (let n = 0; n < 3000; n++) writeFileSync(join(tree.path, 'part', 'msg_many', `prt_${n}.json`), '')
    const store = await tree.open()
    expect((await store.totals()).parts).toBe(3000)
    const abortion = new AbortController()
    setImmediate(() => abortion.abort())
    await expect(store.totals({ signal: abortion.signal })).rejects.toMatchObject({ name: 'AbortError' })
  })

  it('tells of the others when one cannot be counted', async () => {
    using tree = jsonFixture(sampleCorpus())
    const [good, bad] = [await tree.open(), await memoryFixture([]).open()]
    bad.totals = () => Promise.reject(new StorageError('STORE_BUSY', { reason: 'a writer holds it', path: '/busy' }))
    await using set = await createSessionSet([good, bad])
    const { stores, issues } = await describeStores(set)
    expect(stores[0]?.sessions).toBe(sampleCorpus().length)
    expect(stores[1]).toMatchObject({ sessions: undefined, messages: undefined, bytes: undefined, shown: 0 })
    expect(issues).toEqual([{ code: 'STORE_BUSY', path: '/busy', reason: 'a writer holds it', transient: true }])
  })
})

describe('a set narrowed to some stores', () => {
  it('shows what they hold, hidden or not', async () => {
    using era = everyEra()
    for (const [at, kind] of KINDS.entries()) {
      await using set = await openSessions({ data: era.data, store: kind })
      expect(set.stores.map((store) => store.kind)).toEqual([kind])
      const metas = set.index.sessionsByTime()
      expect(metas.map(({ source, hides }) => [source.kind, hides])).toEqual(Array.from({ length: at + 1 }, () => [kind, []]))
    }
    await using both = await openSessions({ data: era.data, store: [`${era.data}/opencode.db`] })
    expect(both.stores.map(({ kind }) => kind)).toEqual(KINDS.slice(0, 2))
  })

  it('names what was found when nothing fits', async () => {
    using era = everyEra()
    await expect(openSessions({ data: era.data, store: 'sqlite' })).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      reason: expect.stringMatching(/opencode-v2.*opencode-json/),
    })
  })
})
