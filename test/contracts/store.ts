/** What every Store must do. Run it on yours: `describeStore('mine', (corpus) => aFixtureThatHolds(corpus))`. */
import { describe, expect, it } from 'vitest'
import { parseMessageId, parsePartId } from '../../src/core/ids.js'
import { messageKey, partKey } from '../../src/core/keys.js'
import { Slab } from '../../src/storage/slab.js'
import { type CorpusMessage, userMessage } from '../support/corpus.js'
import type { FixtureMaker } from '../support/store-fixtures.js'
import { ACROSS, CORPUS, FIRST, type MakeWorld, never, places, pricedReads } from '../support/store-world.js'
import { keyOf } from '../support/trees.js'
import { workOf } from '../support/work.js'
import { describeDamage, describeOpening, describeWhole } from './store-reading.js'

export function describeStore(name: string, make: FixtureMaker): void {
  const world: MakeWorld = async (corpus = CORPUS) => {
    const fixture = make(corpus)
    const store = await fixture.open()
    const close = async (): Promise<void> => {
      await store[Symbol.asyncDispose]()
      fixture[Symbol.dispose]()
    }
    return { fixture, store, [Symbol.asyncDispose]: close }
  }
  describe(`${name} store`, () => {
    describeListing(world)
    describeTail(world)
    describeOpening(world)
    describeDamage(world)
    describeWhole(world)
  })
}

function describeListing(world: MakeWorld): void {
  it('lists every session once, with its record', async () => {
    await using w = await world()
    const { entries, issues, complete } = await w.store.sessions()
    expect({ issues, complete }).toEqual({ issues: [], complete: true })
    const records = new Map(entries.map(({ key, record, project }) => [key.session as string, { record, project }]))
    expect(entries.length).toBe(CORPUS.length)
    for (const session of CORPUS) expect(records.get(session.id)).toEqual({ record: w.fixture.sessionRecord(session), project: session.project })
  })

  it('counts and lists messages by (created, id), across the wrap of ids', async () => {
    await using w = await world()
    await w.store.sessions()
    expect(await w.store.messageCounts(CORPUS.map(({ id }) => keyOf(id)))).toEqual(CORPUS.map(({ messages }) => messages.length))
    for (const session of CORPUS) {
      const { entries, complete } = await w.store.messages(keyOf(session.id))
      expect(complete).toBe(true)
      expect(entries).toEqual(session.messages.map(({ id, time }) => ({ id, created: time })))
    }
  })

  it('lists parts by the time in their ids, each list in the place of its message', async () => {
    await using w = await world()
    await w.store.sessions()
    const asked = [...ACROSS.messages].reverse()
    const { entries } = await w.store.parts(
      keyOf(ACROSS.id),
      asked.map(({ id }) => parseMessageId(id)),
    )
    expect(entries.map((list) => list.map(({ id }) => id))).toEqual(asked.map(({ parts }) => parts.map(({ id }) => id)))
  })

  it('knows nothing of sessions and messages that are not there', async () => {
    await using w = await world()
    await w.store.sessions()
    const nobody = keyOf('ses_nobody')
    expect((await w.store.messages(nobody)).entries).toEqual([])
    expect(await w.store.messageCounts([nobody])).toEqual([0])
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
    const [message, other] = [ACROSS.messages[0] ?? never(), ACROSS.messages[1] ?? never()].map(({ id, parts }) => ({
      id: parseMessageId(id),
      parts,
    }))
    const elsewhere = messageKey(keyOf(FIRST.id), message?.id ?? never())
    const part = partKey(messageKey(keyOf(ACROSS.id), other?.id ?? never()), parsePartId(message?.parts[0]?.id ?? never()))
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
      await w.store.messageCounts([keyOf(ACROSS.id)])
      await w.store.messages(keyOf(ACROSS.id))
      await w.store.price(await pricedReads(w.store, ACROSS))
      await w.store.revision(keyOf(ACROSS.id))
    })
    expect({ files: work.files, bytes: work.bytes }).toEqual({ files: 0, bytes: 0 })
  })

  it('lists, prices and counts the same when every content is damaged', async () => {
    await using w = await world()
    const look = async (): Promise<unknown> => {
      const sessions = (await w.store.sessions()).entries.map(({ key }) => key.session).sort()
      const messages = await w.store.messages(keyOf(FIRST.id))
      const parts = await w.store.parts(
        keyOf(FIRST.id),
        FIRST.messages.map(({ id }) => parseMessageId(id)),
      )
      return { sessions, messages, parts }
    }
    const before = await look()
    for (const place of places(FIRST)) w.fixture.write(place, '{"cut', FIRST.updated)
    expect(await look()).toEqual(before)
  })
}

function describeTail(world: MakeWorld): void {
  it('finds new and removed messages against the previous list', async () => {
    await using w = await world()
    await w.store.sessions()
    const key = keyOf(FIRST.id)
    const { entries: previous } = await w.store.messages(key)
    expect((await w.store.messages(key, { previous })).entries).toEqual(previous)
    const added = userMessage(FIRST.updated + 5000)
    w.fixture.write({ session: FIRST.id, message: added.id }, JSON.stringify(added.data), added.time)
    const { entries: longer } = await w.store.messages(key, { previous })
    expect(longer).toEqual([...previous, { id: added.id, created: added.time }])
    w.fixture.remove({ session: FIRST.id, message: FIRST.messages[3]?.id ?? '' })
    expect((await w.store.messages(key, { previous: longer })).entries).toEqual(longer.filter((_, at) => at !== 3))
  })

  it('finds a message that was written between older ones', async () => {
    await using w = await world()
    await w.store.sessions()
    const key = keyOf(FIRST.id)
    const { entries: previous } = await w.store.messages(key)
    const early = userMessage(FIRST.created + 1500)
    w.fixture.write({ session: FIRST.id, message: early.id }, JSON.stringify(early.data), early.time)
    const { entries } = await w.store.messages(key, { previous })
    expect(entries).toEqual([previous[0], { id: early.id, created: early.time }, ...previous.slice(1)])
  })

  it('moves its revision with a new message, an edit in the tail, a new part, and a removal; else it stands', async () => {
    await using w = await world()
    await w.store.sessions()
    const last = FIRST.messages.at(-1) as CorpusMessage
    const seen = new Set<string>()
    const moves = async (act?: () => void): Promise<void> => {
      act?.()
      const revision = await w.store.revision(keyOf(FIRST.id))
      expect(await w.store.revision(keyOf(FIRST.id))).toBe(revision)
      expect(seen).not.toContain(revision)
      seen.add(revision)
    }
    const at = (step: number): number => FIRST.updated + 10_000 + step
    const lastPart = { session: FIRST.id, message: last.id, part: last.parts[0]?.id ?? '' }
    await moves()
    await moves(() => w.fixture.write(lastPart, '{"type":"text","text":"edited"}', at(1)))
    await moves(() => w.fixture.write({ session: FIRST.id, message: last.id }, JSON.stringify({ ...last.data, finish: 'stop' }), at(2)))
    await moves(() => w.fixture.write({ ...lastPart, part: 'prt_new' }, '{"type":"text","text":"new"}', at(3)))
    await moves(() => w.fixture.write({ session: FIRST.id, message: userMessage(at(4)).id }, JSON.stringify(userMessage(at(4)).data), at(4)))
    await moves(() => w.fixture.remove({ ...lastPart, part: 'prt_new' }))
    w.fixture.write({ session: ACROSS.id, message: 'msg_other' }, '{"role":"user","time":{"created":1}}', at(5))
    expect(seen).toContain(await w.store.revision(keyOf(FIRST.id)))
  })
}
