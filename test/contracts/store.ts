/** What every Store must do. Run it on yours: `describeStore('mine', (corpus) => aFixtureThatHolds(corpus))`. */
import { describe, expect, it } from 'vitest'
import { parseMessageId, parsePartId } from '../../src/core/ids.js'
import { messageKey, partKey } from '../../src/core/keys.js'
import { Slab } from '../../src/storage/slab.js'
import type { CorpusMessage } from '../support/corpus.js'
import type { FixtureMaker } from '../support/store-fixtures.js'
import { type ContractSubject, type MakeWorld, never, places, pricedReads, V1_SUBJECT } from '../support/store-world.js'
import { keyOf } from '../support/trees.js'
import { workOf } from '../support/work.js'
import { describeChanges } from './store-changes.js'
import { describeDamage, describeOpening, describeWhole } from './store-reading.js'

export function describeStore(name: string, make: FixtureMaker, subject: ContractSubject = V1_SUBJECT): void {
  const world: MakeWorld = async (corpus = subject.corpus) => {
    const fixture = make(corpus)
    const store = await fixture.open()
    const close = async (): Promise<void> => {
      await store[Symbol.asyncDispose]()
      fixture[Symbol.dispose]()
    }
    return { fixture, store, [Symbol.asyncDispose]: close }
  }
  describe(`${name} store`, () => {
    describeListing(world, subject)
    describeTail(world, subject)
    describeOpening(world, subject)
    describeDamage(world, subject)
    describeWhole(world, subject)
    describeChanges(make, subject)
  })
}

function describeListing(world: MakeWorld, { corpus, corpus: [first, across], partLeaves }: ContractSubject): void {
  it('lists every session once, with its record', async () => {
    await using w = await world()
    const { entries, issues, complete } = await w.store.sessions()
    expect({ issues, complete }).toEqual({ issues: [], complete: true })
    const records = new Map(entries.map(({ key, record, project }) => [key.session as string, { record, project }]))
    expect(entries.length).toBe(corpus.length)
    for (const session of corpus) expect(records.get(session.id)).toEqual({ record: w.fixture.sessionRecord(session), project: session.project })
  })

  it('counts and lists messages in their order, across the wrap of ids', async () => {
    await using w = await world()
    await w.store.sessions()
    expect(await w.store.messageCounts(corpus.map(({ id }) => keyOf(id)))).toEqual(corpus.map(({ messages }) => messages.length))
    for (const session of corpus) {
      const { entries, complete } = await w.store.messages(keyOf(session.id))
      expect(complete).toBe(true)
      expect(entries.map(({ id, created }) => ({ id, created }))).toEqual(session.messages.map(({ id, time }) => ({ id, created: time })))
    }
  })

  it('says whether parts are leaves of their own', async () => {
    await using w = await world()
    expect(w.store.supports.partLeaves).toBe(partLeaves)
  })

  it('lists parts by the time in their ids, each list in the place of its message', async () => {
    await using w = await world()
    await w.store.sessions()
    const asked = [...across.messages].reverse()
    const { entries } = await w.store.parts(
      keyOf(across.id),
      asked.map(({ id }) => parseMessageId(id)),
    )
    expect(entries.map((list) => list.map(({ id }) => id))).toEqual(asked.map(({ parts }) => parts.map(({ id }) => id)))
  })

  it('knows the message created last of each session, one or many at once, and the totals', async () => {
    await using w = await world()
    await w.store.sessions()
    const lastOf = ({ id, messages }: (typeof corpus)[number]) => ({ session: id, last: messages.at(-1)?.id })
    const keys = corpus.map(({ id }) => keyOf(id))
    const newest = await w.store.newest(keys)
    expect(keys.map((key, at) => ({ session: key.session, last: newest.entries[at]?.id }))).toEqual(corpus.map(lastOf))
    expect(newest.entries.map((entry) => entry?.created)).toEqual(corpus.map(({ messages }) => messages.at(-1)?.time))
    expect((await w.store.newest([keyOf(across.id)])).entries.map((entry) => entry?.id)).toEqual([across.messages.at(-1)?.id])
    const many = Array.from({ length: 100 }, () => keyOf(across.id))
    expect(new Set((await w.store.newest(many)).entries.map((entry) => entry?.id))).toEqual(new Set([across.messages.at(-1)?.id]))
    const messages = corpus.reduce((sum, session) => sum + session.messages.length, 0)
    const { parts, bytes, ...totals } = await w.store.totals()
    expect(totals).toEqual({ sessions: corpus.length, messages })
    expect(bytes).toBeGreaterThan(0)
    const leaves = corpus.reduce((sum, session) => sum + session.messages.reduce((count, message) => count + message.parts.length, 0), 0)
    expect(parts).toBe(w.store.supports.rows && !partLeaves ? undefined : partLeaves ? leaves : 0)
  })

  it('knows nothing of sessions and messages that are not there', async () => {
    await using w = await world()
    await w.store.sessions()
    const nobody = keyOf('ses_nobody')
    expect((await w.store.messages(nobody)).entries).toEqual([])
    expect(await w.store.messageCounts([nobody])).toEqual([0])
    expect(await w.store.newest([nobody])).toEqual({ entries: [undefined], issues: [], complete: true })
    expect((await w.store.parts(nobody, [parseMessageId('msg_none')])).entries).toEqual([[]])
    expect((await w.store.openParts(nobody, [messageKey(nobody, parseMessageId('msg_none'))], new Slab())).entries).toEqual([[]])
    expect((await w.store.parts(nobody, [])).entries).toEqual([])
    expect(
      await w.store.price([
        { kind: 'session', key: nobody },
        { kind: 'todo', key: nobody },
        { kind: 'diff', key: nobody },
      ]),
    ).toEqual([undefined, undefined, undefined])
  })

  it('prices nothing under a key that names the wrong parent', async () => {
    await using w = await world()
    await w.store.sessions()
    const [message, other] = [across.messages[0] ?? never(), across.messages[1] ?? never()].map(({ id, parts }) => ({
      id: parseMessageId(id),
      parts,
    }))
    const elsewhere = messageKey(keyOf(first.id), message?.id ?? never())
    const part = partKey(messageKey(keyOf(across.id), other?.id ?? never()), parsePartId(message?.parts[0]?.id ?? 'prt_none'))
    expect(
      await w.store.price([
        { kind: 'message', key: elsewhere },
        { kind: 'part', key: part },
      ]),
    ).toEqual([undefined, undefined])
  })

  it('opens no message and no part to list or to price them (law 2)', async () => {
    await using w = await world()
    await w.store.sessions()
    const { work } = await workOf(w.store, async () => {
      await w.store.messageCounts([keyOf(across.id)])
      await w.store.messages(keyOf(across.id))
      await w.store.price(await pricedReads(w.store, across))
      await w.store.revision(keyOf(across.id))
    })
    expect({ files: work.files, bytes: work.bytes }).toEqual({ files: 0, bytes: 0 })
  })

  it('lists, prices and counts the same when every content is damaged', async () => {
    await using w = await world()
    const look = async (): Promise<unknown> => {
      const sessions = (await w.store.sessions()).entries.map(({ key }) => key.session).sort()
      const messages = await w.store.messages(keyOf(first.id))
      const parts = await w.store.parts(
        keyOf(first.id),
        first.messages.map(({ id }) => parseMessageId(id)),
      )
      return { sessions, messages, parts }
    }
    const before = await look()
    for (const place of places(first)) w.fixture.write(place, '{"cut', first.updated)
    expect(await look()).toEqual(before)
  })
}

function describeTail(world: MakeWorld, { corpus: [first, across], newMessage, partLeaves }: ContractSubject): void {
  it('finds new and removed messages against the previous list', async () => {
    await using w = await world()
    await w.store.sessions()
    const key = keyOf(first.id)
    const { entries: previous } = await w.store.messages(key)
    expect((await w.store.messages(key, { previous })).entries).toEqual(previous)
    const added = newMessage(first.updated + 5000)
    w.fixture.write({ session: first.id, message: added.id }, JSON.stringify(added.data), added.time)
    const { entries: longer } = await w.store.messages(key, { previous })
    expect(longer).toMatchObject([...previous, { id: added.id, created: added.time }])
    w.fixture.remove({ session: first.id, message: first.messages[3]?.id ?? '' })
    expect((await w.store.messages(key, { previous: longer })).entries).toEqual(longer.filter((_, at) => at !== 3))
  })

  it('finds a message that was written between older ones', async () => {
    await using w = await world()
    await w.store.sessions()
    const key = keyOf(first.id)
    const { entries: previous } = await w.store.messages(key)
    const early = newMessage(first.created + 1500)
    w.fixture.write({ session: first.id, message: early.id }, JSON.stringify(early.data), early.time)
    const { entries } = await w.store.messages(key, { previous })
    expect(entries).toMatchObject([previous[0], { id: early.id, created: early.time }, ...previous.slice(1)])
  })

  it('moves its revision with a new message, an edit in the tail, a new part, and a removal; else it stands', async () => {
    await using w = await world()
    await w.store.sessions()
    const last = first.messages.at(-1) as CorpusMessage
    const seen = new Set<string>()
    const moves = async (act?: () => void): Promise<void> => {
      act?.()
      const revision = await w.store.revision(keyOf(first.id))
      expect(await w.store.revision(keyOf(first.id))).toBe(revision)
      expect(seen).not.toContain(revision)
      seen.add(revision)
    }
    const at = (step: number): number => first.updated + 10_000 + step
    const lastPart = { session: first.id, message: last.id, part: last.parts[0]?.id ?? '' }
    await moves()
    if (partLeaves) await moves(() => w.fixture.write(lastPart, '{"type":"text","text":"edited"}', at(1)))
    await moves(() => w.fixture.write({ session: first.id, message: last.id }, JSON.stringify({ ...last.data, finish: 'stop' }), at(2)))
    if (partLeaves) await moves(() => w.fixture.write({ ...lastPart, part: 'prt_new' }, '{"type":"text","text":"new"}', at(3)))
    const added = newMessage(at(4))
    await moves(() => w.fixture.write({ session: first.id, message: added.id }, JSON.stringify(added.data), at(4)))
    await moves(() => w.fixture.remove(partLeaves ? { ...lastPart, part: 'prt_new' } : { session: first.id, message: first.messages[1]?.id ?? '' }))
    w.fixture.write({ session: across.id, message: 'msg_other' }, '{"role":"user","time":{"created":1}}', at(5))
    expect(seen).toContain(await w.store.revision(keyOf(first.id)))
  })
}
