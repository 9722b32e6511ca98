/** What crosses between the threads, how much of it at once, and who goes first. */
import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads'
import { afterEach, describe, expect, it } from 'vitest'
import { parseMessageId, parsePartId, parseSessionId } from '../../../src/core/ids.js'
import { messageKey, partKey, type SessionKey, sessionKey } from '../../../src/core/keys.js'
import { MemoryStore } from '../../../src/storage/memory-store.js'
import { Slab } from '../../../src/storage/slab.js'
import type { Leaf, ListedBefore, Read, Store } from '../../../src/storage/store.js'
import type { StoreSource } from '../../../src/storage/store-source.js'
import { LeafPacker, LeafReader, type PackedLeaves } from '../../../src/storage/worker/leaf-pack.js'
import { inPieces } from '../../../src/storage/worker/pieces.js'
import { type Method, PAGE, WINDOW } from '../../../src/storage/worker/protocol.js'
import { PAGES } from '../../../src/storage/worker/shapes.js'
import { storeInWorker } from '../../support/worker-stores.js'

const open: StoreSource[] = []
afterEach(async () => {
  for (const source of open.splice(0)) await source[Symbol.asyncDispose]()
})

async function started(sessions: number): Promise<Store> {
  const source = storeInWorker({ kind: 'memory', sessions })
  open.push(source)
  await source.refresh()
  const [store] = source.stores
  if (store === undefined) throw new Error('the worker has no store')
  return store
}

function keyOf(session: string): SessionKey {
  return sessionKey('opencode', parseSessionId(session))
}

async function seen(store: Store): Promise<{ given: number; ended: number }> {
  return JSON.parse((await store.stamp?.()) ?? '{}')
}

describe('a long call', () => {
  it('lets a short one overtake it after a few pages, however long it goes on', async () => {
    const store = await started(1)
    const census = store.census(() => new Slab())[Symbol.asyncIterator]()
    let taken = 0
    let isOver = false
    const reading = (async () => {
      while (!isOver) {
        await census.next()
        taken++
      }
    })()
    // A machine that is busy may answer twenty times before it gives the first page.
    for (let round = 0; round < 20 || taken <= PAGE.leaves; round++) {
      const before = taken
      await store.messageCounts([keyOf('ses_0')])
      expect(taken - before).toBeLessThanOrEqual((WINDOW + 2) * PAGE.leaves)
    }
    isOver = true
    await reading
    await census.return?.()
  })

  it('takes turns with other long ones', async () => {
    const store = await started(1)
    const readers = [1, 2, 3].map(() => store.census(() => new Slab())[Symbol.asyncIterator]())
    const most = 20 * PAGE.leaves
    const counts = [0, 0, 0]
    let least = 0
    await Promise.all(
      readers.map(async (reader, at) => {
        for (let taken = 0; taken < most; taken++) {
          await reader.next()
          counts[at] = taken
        }
        least ||= Math.min(...counts)
      }),
    )
    // Those that were not first had their share by then.
    expect(least).toBeGreaterThan(most / 2)
    for (const reader of readers) await reader.return?.()
  })

  it('makes no more pages than there is room for while nobody takes them, and ends when it is left', async () => {
    const store = await started(1)
    const census = store.census(() => new Slab())[Symbol.asyncIterator]()
    for (let taken = 0; taken < 10; taken++) await census.next()
    let given = 0
    for (let now = await seen(store); now.given !== given; now = await seen(store)) given = now.given
    expect(given).toBeLessThanOrEqual((WINDOW + 2) * PAGE.leaves)
    await census.return?.()
    for (let now = await seen(store); now.ended === 0; now = await seen(store));
    expect((await census.next()).done).toBe(true)
  })
})

describe('listings', () => {
  it('of many sessions and messages come in pages, whole and in order', async () => {
    const store = await started(3 * PAGE.sessions + 1)
    const { entries, complete } = await store.sessions()
    expect(complete).toBe(true)
    expect(entries.map(({ record }) => record?.title)).toEqual(entries.map((_, at) => `Session ${at}`))
    const keys = entries.map(({ key }) => key)
    expect(await store.messageCounts(keys)).toEqual(keys.map(() => 2))
    expect((await store.newest(keys)).entries.every((entry) => entry?.id === 'msg_2')).toBe(true)
  })

  it('give what did not change as the same objects: from the list before, from one of another process, and from another worker', async () => {
    const store = await started(2 * PAGE.sessions + 5)
    const listed = await store.sessions()
    const again = async (before: ListedBefore): Promise<void> => {
      const { entries, mark } = await store.sessions({ before })
      expect(mark).toBe(listed.mark)
      expect(entries.length).toBe(before.entries.length)
      expect(entries.every((entry, at) => entry === before.entries[at])).toBe(true)
    }
    await again({ entries: listed.entries, mark: listed.mark })
    await again({ entries: [...listed.entries], mark: undefined })
    const elsewhere: ListedBefore = structuredClone({ entries: listed.entries, mark: listed.mark })
    await again(elsewhere)
    const [stale, ...rest] = elsewhere.entries
    const changed = stale && { ...stale, version: 'another' }
    const { entries } = await store.sessions({ before: { entries: [changed ?? never(), ...rest], mark: undefined } })
    expect(entries[0]).toEqual(listed.entries[0])
    expect(entries[0]).not.toBe(changed)
    expect(entries.slice(1).every((entry, at) => entry === rest[at])).toBe(true)
    await store.revision(keyOf('exits')).catch(() => undefined)
    await again(elsewhere)
  })

  it('look only at the sessions that are named', async () => {
    const store = await started(5)
    const { entries, mark } = await store.sessions()
    const stale = entries.map((entry) => ({ ...entry, version: 'another' }))
    const listing = await store.sessions({ before: { entries: stale, mark }, only: [keyOf('ses_3')] })
    expect(listing.entries.map((entry, at) => entry === stale[at])).toEqual([true, true, true, false, true])
  })
})

describe('leaves', () => {
  const message = messageKey(keyOf('ses_1'), parseMessageId('msg_1'))
  const reads: Read[] = [
    { kind: 'part', key: partKey(message, parsePartId('msg_1_prt_2')) },
    { kind: 'message', key: messageKey(keyOf('ses_1'), parseMessageId('msg_gone')) },
    { kind: 'message', key: message },
  ]

  async function packed(): Promise<{ pack: PackedLeaves; transfer: ArrayBuffer[]; leaves: readonly Leaf[] }> {
    const store = new MemoryStore()
    for (const { kind, key } of [reads[0] ?? never(), reads[2] ?? never()]) {
      const ids = { session: key.session, message: 'msg_1', ...(kind === 'part' && { part: 'msg_1_prt_2' }) }
      store.put(ids, { type: kind, text: 'x'.repeat(100) }, 1)
    }
    const slab = new Slab()
    const leaves = await store.open(reads, slab)
    const packer = new LeafPacker()
    for (const leaf of leaves) packer.add(leaf)
    return { ...packer.finish(), leaves }
  }

  it('are handed over, not copied: here nothing is left of them, and there all lie in one buffer', async () => {
    const { pack, transfer, leaves } = await packed()
    const texts = leaves.map(({ span, issue }) => span?.text() ?? issue)
    const { port1, port2 } = new MessageChannel()
    port1.postMessage(pack, transfer)
    expect(transfer.map(({ byteLength }) => byteLength)).toEqual(transfer.map(() => 0))
    expect(pack.bytes.byteLength).toBe(0)
    const there = receiveMessageOnPort(port2)?.message as PackedLeaves
    port1.close()
    using slab = new Slab()
    const reader = new LeafReader(there)
    const given = reads.map(({ key }) => reader.next(slab, key))
    expect(given.map(({ span, issue }) => span?.text() ?? issue)).toEqual(texts)
    const buffers = given.flatMap(({ span }) => (span === undefined ? [] : [span.bytes().buffer]))
    expect(new Set(buffers)).toEqual(new Set([there.bytes]))
    slab[Symbol.dispose]()
    expect(() => given[0]?.span?.text()).toThrow(expect.objectContaining({ code: 'SPAN_DISPOSED' }))
  })

  it.each<[string, (pack: PackedLeaves) => object]>([
    ['a leaf that reaches beyond the bytes', ({ lengths }) => ({ lengths: lengths.map((length) => length + 1000) })],
    ['a leaf without a source', () => ({ sources: [] })],
    ['an issue that is missing', () => ({ issues: new Map() })],
    ['columns of different lengths', () => ({ sourceAt: new Uint32Array(1) })],
    ['generations of other leaves', () => ({ generations: ['v1'] })],
    ['bytes that are none', () => ({ bytes: 'bytes' })],
    ['a row that is none', () => ({ rows: new Map([[0, 'row']]) })],
  ])('are refused with %s', async (_, wrong) => {
    const { pack } = await packed()
    expect(PAGES.open(pack)).toBe(true)
    expect(PAGES.open({ ...pack, ...wrong(pack) })).toBe(false)
  })
})

describe('a page', () => {
  const END = { issues: [], complete: true }
  const ENTRY = { key: keyOf('ses_1'), project: 'p', record: undefined, path: '/a', generation: 'v1' }
  const EMPTY = new LeafPacker().finish().pack
  it.each<[Method, object | string | number | undefined, unknown[]]>([
    ['refresh', { stores: [], issues: [] }, [undefined, { stores: [] }, { stores: [{ id: 1 }], issues: [] }, { stores: [], issues: ['x'] }]],
    [
      'sessions',
      { fresh: [ENTRY], end: { ...END, list: 1 } },
      [[], { fresh: [{}] }, { fresh: [{ ...ENTRY, record: 'x' }] }, { fresh: [], end: END }],
    ],
    ['sessions', { fresh: [], from: new Int32Array(1) }, [{ fresh: [], from: [0] }, { fresh: [{ ...ENTRY, key: { ...ENTRY.key, agent: 'x' } }] }]],
    ['messages', { based: true, fresh: [{ id: 'm', created: 1 }], end: END }, [{ fresh: [] }, { based: true, fresh: [{ id: 'm' }] }]],
    ['newest', { ...END, entries: [undefined] }, [{ ...END, entries: [null] }, { entries: [] }]],
    ['messageCounts', [1, 2], [['1'], 1]],
    [
      'parts',
      { ...END, ids: [['p']] },
      [
        { ...END, ids: ['p'] },
        { ...END, ids: [['p']], prices: { generations: [], numbers: new Float64Array(0) } },
      ],
    ],
    [
      'price',
      { generations: [undefined, 'v1'], numbers: new Float64Array(4) },
      [{ generations: ['v1'], numbers: new Float64Array(1) }, { generations: ['v1'] }, undefined],
    ],
    [
      'openParts',
      { ...END, ids: [[]], leaves: EMPTY },
      [
        { ...END, ids: [['p']], leaves: EMPTY },
        { ...END, ids: [[]] },
      ],
    ],
    ['revision', 'r', [7, undefined]],
    ['stamp', 's', [null]],
    ['totals', { sessions: 1, messages: 2, parts: undefined, bytes: 3 }, [{ sessions: 1 }, 7]],
    ['tail', { messages: [], leaves: EMPTY }, [{ messages: [{}], leaves: EMPTY }, { messages: [] }]],
    [
      'census',
      { entries: [{ what: 'ignored', reason: 'r', count: 1 }], leaves: EMPTY },
      [{ entries: ['message\u0001opencode\u0001s\u0001m'], leaves: EMPTY }],
    ],
    ['census', { entries: [{ what: 'unreadable', reason: 'r', path: '/a' }], leaves: EMPTY }, [{ entries: [{ what: 'else' }], leaves: EMPTY }]],
  ])('of %s is looked at', (method, good, bad) => {
    expect(PAGES[method](good)).toBe(true)
    for (const one of bad) expect(PAGES[method](one)).toBe(false)
  })
})

describe('pieces', () => {
  it('are all asked for, at most two at once, and give their results in order', async () => {
    const asked: number[][] = []
    let [flying, most] = [0, 0]
    const results = await inPieces(
      [1, 2, 3, 4, 5, 6, 7],
      (items, from) => Math.min(3, items.length - from, from + 1),
      async (piece) => {
        asked.push([...piece])
        most = Math.max(most, ++flying)
        await new Promise((resolve) => setTimeout(resolve, piece.length === 1 ? 20 : 1))
        flying--
        return piece.length
      },
    )
    expect([asked, results, most]).toEqual([[[1], [2, 3], [4, 5, 6], [7]], [1, 2, 3, 1], 2])
  })

  it('stop with the first that fails', async () => {
    const asked: number[] = []
    const call = inPieces(
      [1, 2, 3, 4, 5, 6],
      () => 1,
      async ([item]) => {
        asked.push(item ?? 0)
        if (item === 2) throw new Error('no')
      },
    )
    await expect(call).rejects.toThrow('no')
    expect(asked.length).toBeLessThanOrEqual(3)
  })
})

function never(): never {
  throw new Error('the test lacks what it needs')
}
