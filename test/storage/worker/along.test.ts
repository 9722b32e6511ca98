/** Leaves that come with the messages of a session that is read straight through. */
import { expect, it } from 'vitest'
import { type MessageKey, messageKey, type SessionKey } from '../../../src/core/keys.js'
import { Slab, SlabPool } from '../../../src/storage/slab.js'
import type { Leaf, MessageListing, PartLeaf, Read, ReadOptions, Store } from '../../../src/storage/store.js'
import { AlongOpener, packAlong } from '../../../src/storage/worker/along.js'
import { ALONG } from '../../../src/storage/worker/protocol.js'
import { conversation, corpusSession, WRAP } from '../../support/corpus.js'
import { type FixtureMaker, jsonFixture, memoryFixture, type StoreFixture, sqliteFixture } from '../../support/store-fixtures.js'
import { keyOf } from '../../support/trees.js'

const TIME = WRAP - 9 * 86_400_000
const SESSION = corpusSession(TIME, conversation(TIME + 1, ALONG.messages))
const KEY = keyOf(SESSION.id)

/** What a call asks for, and what it gets. */
interface World extends AsyncDisposable {
  readonly store: Store
  readonly fixture: StoreFixture
  readonly listing: MessageListing
  readonly keys: readonly MessageKey[]
  /** Messages and sessions that the store was asked for. */
  readonly asked: { readonly open: unknown[]; readonly parts: unknown[] }
  opener(options?: ReadOptions): Promise<AlongOpener | undefined>
}

async function worldOf(make: FixtureMaker): Promise<World> {
  const fixture = make([SESSION])
  const store = await fixture.open()
  const listing = await store.messages(KEY)
  const asked = { open: [] as unknown[], parts: [] as unknown[] }
  const watched: Pick<Store, 'open' | 'openParts'> = {
    open: (reads, slab, options) => {
      for (const { key } of reads) asked.open.push(key)
      return store.open(reads, slab, options)
    },
    openParts: (session, messages, slab, options) => {
      for (const key of messages) asked.parts.push(key)
      return store.openParts(session, messages, slab, options)
    },
  }
  return {
    store,
    fixture,
    listing,
    keys: listing.entries.map(({ id }) => messageKey(KEY, id)),
    asked,
    async opener({ native = false } = {}) {
      const packed = await packAlong(store, KEY, listing.entries, { pool: new SlabPool(), native })
      return packed && new AlongOpener(watched as Store, listing.entries, packed.along, native)
    },
    async [Symbol.asyncDispose]() {
      await store[Symbol.asyncDispose]()
      fixture[Symbol.dispose]()
    },
  }
}

const told = (leaf: Leaf): unknown => {
  const { span, issue, ...rest } = leaf
  return { ...rest, key: span?.key, source: span?.source, text: span?.text(), issue }
}
const toldParts = (parts: readonly PartLeaf[]): unknown => parts.map(({ key, leaf }) => [key, told(leaf)])
const readOf = (key: SessionKey | MessageKey): Read => ({ kind: key.kind, key })

it.each([
  ['memory', memoryFixture, false],
  ['files', jsonFixture, false],
  ['a database', sqliteFixture('1.18'), false],
  ['a database, with its columns', sqliteFixture('1.18'), true],
])('are those that the store opens, in any pages; only the rest is asked for: %s', async (_, make, native) => {
  await using w = await worldOf(make)
  const opener = await w.opener({ native })
  const along = ALONG.messages
  expect(w.keys.length).toBeGreaterThan(along)
  for (const size of [w.keys.length, along, 9]) {
    for (const asked of Object.values(w.asked)) asked.length = 0
    for (let at = 0; at < w.keys.length; at += size) {
      const keys = w.keys.slice(at, at + size)
      const reads = [readOf(KEY), ...keys.map(readOf)]
      using here = new Slab()
      using there = new Slab()
      const own = await opener?.open(reads.slice(0, 1), here, { native })
      const leaves = await opener?.open(reads.slice(1), here, { native })
      expect([...(own ?? []), ...(leaves ?? [])].map(told)).toEqual((await w.store.open(reads, there, { native })).map(told))
      const parts = await opener?.openParts(KEY, keys, here, { native })
      const expected = await w.store.openParts(KEY, keys, there, { native })
      expect(parts?.entries.map(toldParts)).toEqual(expected.entries.map(toldParts))
      expect({ ...parts, entries: [] }).toEqual({ ...expected, entries: [] })
    }
    expect(w.asked).toEqual({ open: w.keys.slice(along), parts: w.keys.slice(along) })
  }
})

it('are given to nobody who asks for a version, or for more than came', async () => {
  await using w = await worldOf(sqliteFixture('1.18'))
  const opener = await w.opener()
  using slab = new Slab()
  const [first = never()] = w.keys
  const [price] = await w.store.price([readOf(first)])
  await opener?.open([{ ...readOf(first), ...(price && { price }) }], slab)
  await opener?.open([readOf(first)], slab, { native: true })
  await opener?.openParts(KEY, [first], slab, { native: true })
  expect(w.asked).toEqual({ open: [first, first], parts: [first] })
})

it('tell of a record that is not there in its place', async () => {
  await using w = await worldOf(jsonFixture)
  const [first = never()] = w.keys
  w.fixture.remove({ session: first.session, message: first.message })
  const opener = await w.opener()
  using slab = new Slab()
  const leaves = (await opener?.open(w.keys.slice(0, 2).map(readOf), slab)) ?? []
  expect(leaves.map(({ issue }) => issue?.code)).toEqual(['STALE_SPAN', undefined])
})

it('do not come where there is more to tell than leaves', async () => {
  await using w = await worldOf(memoryFixture)
  const issue = { code: 'STORE_UNREADABLE', path: w.store.path, reason: 'it cannot be read' } as const
  w.store.openParts = async (_, messages) => ({ entries: messages.map(() => []), issues: [issue], complete: false })
  expect(await packAlong(w.store, KEY, w.listing.entries, { pool: new SlabPool() })).toBeUndefined()
})

function never(): never {
  throw new Error('there is none')
}
