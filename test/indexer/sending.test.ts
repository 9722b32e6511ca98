/** From messages to the sink, when services fail: records, refused documents, spaces, exclusions, stops. */
import { describe, expect, it } from 'vitest'
import { StorageError } from '../../src/core/errors.js'
import { type EmbedCache, embeddingKey } from '../../src/indexer/embedding/embed-cache.js'
import type { Exclusion } from '../../src/indexer/exclusion.js'
import type { HeldLease } from '../../src/indexer/lease.js'
import { inBatches } from '../../src/indexer/records.js'
import { applyRecord, writeMessages } from '../../src/indexer/sending.js'
import { spaceIdOf } from '../../src/indexer/space.js'
import { type EngineRig, engineRig, upsertsOf } from '../support/index-engine.js'
import { contentOf, countingEmbedder, flakySink, keyOf, metaOf } from '../support/index-world.js'

const many = (n: number, name = 'text'): string[] => Array.from({ length: n }, (_, i) => `${name} ${i}`)

async function writeAll(it: EngineRig, lease: HeldLease, id: string): Promise<void> {
  const session = it.world.sessions.get(id)
  if (session === undefined) throw new Error(id)
  for (const batch of inBatches(upsertsOf(it, id), it.engine)) {
    await writeMessages(it.engine, lease, { batch, meta: metaOf(session), isOut: () => false })
  }
}

const ledgerOf = (it: EngineRig, id: string) => [...it.engine.state.ledger(keyOf(id)).values()]
const down = (code: 'EMBEDDER_UNAVAILABLE' | 'SINK_UNAVAILABLE') => new StorageError(code, { reason: 'gone' })

/** Refuses these texts for good. */
function refusing(isBad: (text: string) => boolean, code: 'TEXT_REFUSED' | 'TEXT_TOO_LONG' = 'TEXT_REFUSED') {
  const embedder = countingEmbedder()
  const { embed } = embedder
  let calls = 0
  embedder.embed = (texts, options) => {
    calls++
    return texts.some(isBad) ? Promise.reject(new StorageError(code, { reason: 'x' })) : embed.call(embedder, texts, options)
  }
  return { embedder, calls: () => calls }
}

describe('messages on their way to the sink', () => {
  it('are in it and in the ledger, with their space', async () => {
    const it = await engineRig()
    it.world.add('ses_a', many(5))
    await using lease = await it.claim('ses_a')
    await writeAll(it, lease, 'ses_a')
    expect(contentOf(it.sink)).toEqual(it.world.expected())
    expect(it.engine.state.status()).toMatchObject({ wal: { records: 0 }, ledger: { messages: 5, documents: 5 }, counters: { embedded: 5 } })
    expect([...it.sink.rows.values()][0]?.metadata).toMatchObject({ space: spaceIdOf('fake-1'), rev: lease.claim.token })
  })

  it('wait in the WAL while the sink is down, and are sent without a call of the embedder', async () => {
    const embedder = countingEmbedder()
    const it = await engineRig({ embedder })
    it.world.add('ses_a', many(5))
    it.sink.before = () => Promise.reject(down('SINK_UNAVAILABLE'))
    {
      await using lease = await it.claim('ses_a')
      await expect(writeAll(it, lease, 'ses_a')).rejects.toMatchObject({ code: 'SINK_UNAVAILABLE' })
      expect(it.engine.breakers.sink.status().state).toBe('open')
      await it.engine.state.release(lease.claim, { kind: 'stopped' })
    }
    it.sink.before = () => undefined
    it.clock.advance(1000)
    await using lease = await it.claim('ses_a')
    const seq = lease.claim.wal ?? -1
    await applyRecord(it.engine, lease, seq, it.engine.state.walRead(seq), true)
    expect(contentOf(it.sink)).toEqual(it.world.expected())
    expect(embedder.texts).toHaveLength(5)
  })

  it('are written as far as they were embedded when the embedder goes down', async () => {
    const embedder = countingEmbedder()
    const { embed } = embedder
    let calls = 0
    embedder.embed = (texts, options) => (++calls === 3 ? Promise.reject(down('EMBEDDER_UNAVAILABLE')) : embed.call(embedder, texts, options))
    const it = await engineRig({ embedder, limits: { batchSize: 2 } })
    it.world.add('ses_a', many(10))
    await using lease = await it.claim('ses_a')
    await expect(writeAll(it, lease, 'ses_a')).rejects.toMatchObject({ code: 'EMBEDDER_UNAVAILABLE' })
    expect([it.sink.rows.size, ledgerOf(it, 'ses_a').length, embedder.texts.length]).toEqual([4, 4, 4])
  })

  it('need no write-ahead record: the sink comes first, the ledger after it', async () => {
    const it = await engineRig({ walEnabled: false })
    it.world.add('ses_a', many(3))
    it.sink.before = () => void expect(it.engine.state.status().wal.records).toBe(0)
    await using lease = await it.claim('ses_a')
    await writeAll(it, lease, 'ses_a')
    expect(contentOf(it.sink)).toEqual(it.world.expected())
    expect(ledgerOf(it, 'ses_a')).toHaveLength(3)
  })

  it('pass the lease before each word to the sink', async () => {
    const it = await engineRig({ limits: { sinkBatchSize: 2 } })
    it.world.add('ses_a', many(5))
    await using lease = await it.claim('ses_a')
    let guards = 0
    const guarded = { ...lease, guard: () => (++guards === 2 ? Promise.reject(new StorageError('LEASE_LOST', { reason: 'x' })) : lease.guard()) }
    await expect(writeAll(it, guarded, 'ses_a')).rejects.toMatchObject({ code: 'LEASE_LOST' })
    expect(it.sink.rows.size).toBe(2)
    expect(it.engine.breakers.sink.status().state).toBe('closed')
  })
})

describe('a stop', () => {
  it('keeps what was embedded in the WAL, and the sink is not called', async () => {
    const embedder = countingEmbedder()
    const { embed } = embedder
    embedder.embed = (texts, options) => {
      if (embedder.texts.length === 4) it.stop.abort(new Error('stop'))
      return embed.call(embedder, texts, options)
    }
    const it = await engineRig({ embedder, limits: { batchSize: 4 } })
    it.world.add('ses_a', many(20))
    {
      await using lease = await it.claim('ses_a')
      await expect(writeAll(it, lease, 'ses_a')).rejects.toThrow('stop')
      await it.engine.state.release(lease.claim, { kind: 'stopped' })
    }
    expect([embedder.texts.length, it.sink.rows.size]).toEqual([8, 0])
    expect(it.engine.state.status().wal.records).toBe(1)
    const later = await engineRig({ embedder, state: it.engine.state })
    await using lease = await it.claim('ses_a')
    await applyRecord({ ...later.engine, sink: it.sink }, lease, lease.claim.wal ?? -1, it.engine.state.walRead(lease.claim.wal ?? -1), true)
    expect([embedder.texts.length, it.sink.rows.size]).toEqual([8, 8])
  })

  it('does not end what is nowhere but here', async () => {
    const it = await engineRig({ walEnabled: false, limits: { sinkBatchSize: 1 } })
    it.world.add('ses_a', many(3))
    it.sink.before = () => it.stop.abort(new Error('stop'))
    await using lease = await it.claim('ses_a')
    await writeAll(it, lease, 'ses_a')
    expect(contentOf(it.sink)).toEqual(it.world.expected())
  })
})

describe('poison', () => {
  it('B19: three texts of 1,000 that cannot be embedded cost few calls, and everything else is indexed', async () => {
    const embedder = countingEmbedder()
    const { embed } = embedder
    let calls = 0
    const long = 'A sentence of many words. '.repeat(60)
    embedder.embed = async (texts, options) => {
      calls++
      if (texts.includes('text 500')) throw new Error('the process behind it crashed')
      if (texts.some(({ length }) => length > 1000)) throw new StorageError('TEXT_TOO_LONG', { reason: 'x' })
      const vectors = await embed.call(embedder, texts, options)
      const bad = texts.indexOf('text 100')
      if (bad !== -1) vectors[bad * embedder.dimensions] = Number.NaN
      return vectors
    }
    const it = await engineRig({ embedder })
    it.world.add('ses_a', [...many(999), long])
    await using lease = await it.claim('ses_a')
    await writeAll(it, lease, 'ses_a')
    const pages = Math.ceil(256 / 32) * 3 + Math.ceil((1000 - 768) / 32)
    // NaN: the text alone, and a probe. Too long: halving, then its halves. Crash: halving, and a probe at each failure.
    const depth = Math.log2(32)
    expect(calls).toBeLessThanOrEqual(pages + 2 + (2 * depth + 1) + (2 * depth + depth + 1))
    const rows = ledgerOf(it, 'ses_a')
    expect(rows).toHaveLength(1000)
    expect(rows.filter(({ state }) => state === 'settled')).toHaveLength(998)
    expect(rows.filter(({ state }) => state === 'quarantined').map(({ chunks }) => chunks)).toEqual([[''], ['']])
    expect(it.sink.rows.size).toBe(997 + 2)
    const letters = it.engine.state.deadLetters()
    expect(letters.map(({ message, chunk, code }) => [message, chunk, code])).toEqual([
      ['msg_ses_a_0100', 0, 'EMBEDDING_INVALID'],
      ['msg_ses_a_0500', 0, 'TEXT_REFUSED'],
    ])
    expect(JSON.stringify(letters)).not.toContain('crashed')
    expect(it.events.filter(({ kind }) => kind === 'quarantined')).toHaveLength(2)
  })

  it('cuts a text that is too long: its documents are numbered on, and those that were there before go', async () => {
    const { embedder } = refusing((text) => text.length > 1000, 'TEXT_TOO_LONG')
    const it = await engineRig({ embedder })
    const long = Array.from({ length: 110 }, (_, i) => `Sentence ${i} of many words.`).join(' ')
    it.world.add('ses_a', [long])
    await using lease = await it.claim('ses_a')
    await writeAll(it, lease, 'ses_a')
    const documents = [...it.sink.rows.values()]
    expect(documents.map(({ metadata }) => metadata)).toMatchObject([{ chunk: 0 }, { chunk: 1 }, { chunk: 2 }, { chunk: 3 }])
    expect(documents.map(({ text }) => text).join(' ')).toBe(long)
    const session = it.world.sessions.get('ses_a')
    for (const message of session?.messages ?? []) message.text = 'short now'
    await writeAll(it, lease, 'ses_a')
    expect([...it.sink.rows.values()].map(({ text }) => text)).toEqual(['short now'])
  })

  it('takes the place of a text that was fine', async () => {
    const { embedder } = refusing((text) => text === 'bad')
    const it = await engineRig({ embedder })
    const session = it.world.add('ses_a', ['fine', 'fine too'])
    await using lease = await it.claim('ses_a')
    await writeAll(it, lease, 'ses_a')
    for (const message of session.messages.slice(0, 1)) message.text = 'bad'
    await writeAll(it, lease, 'ses_a')
    expect([...it.sink.rows.values()].map(({ text }) => text)).toEqual(['fine too'])
    expect(ledgerOf(it, 'ses_a').map(({ state, chunks }) => [state, chunks.length])).toEqual([
      ['quarantined', 1],
      ['settled', 1],
    ])
  })
})

describe('[F29] a document that the sink refuses', () => {
  const write = async (it: EngineRig, isBad: (text: string) => boolean, named: boolean) => {
    const { upsert } = it.sink
    let calls = 0
    const sink = {
      ...it.sink,
      upsert: async (...[rows, options]: Parameters<typeof upsert>) => {
        calls++
        const bad = rows.find(({ text }) => isBad(text))
        if (bad !== undefined) throw new StorageError('SINK_REFUSED', { reason: 'SECRET', key: named ? bad.id : 'somebody' })
        await upsert(rows, options)
      },
    }
    await using lease = await it.claim('ses_a')
    await writeAll({ ...it, engine: { ...it.engine, sink } }, lease, 'ses_a')
    return calls
  }

  it.each([
    ['named', true, 2],
    ['found by halving', false, 1 + 2 * Math.log2(16)],
  ])('is put aside, the rest is written: %s', async (_, named, expected) => {
    const it = await engineRig()
    it.world.add('ses_a', many(16))
    expect(await write(it, (text) => text === 'text 7', named)).toBe(expected)
    expect(it.sink.rows.size).toBe(15)
    expect(ledgerOf(it, 'ses_a')[7]).toMatchObject({ state: 'quarantined', chunks: [''] })
    const [letter, ...others] = it.engine.state.deadLetters()
    expect(letter).toMatchObject({ message: 'msg_ses_a_0007', chunk: 0, code: 'SINK_REFUSED', reason: 'the sink refuses the document' })
    expect(others).toEqual([])
    expect(it.engine.state.status().wal.records).toBe(0)
  })

  it('leaves no older document in its place', async () => {
    const it = await engineRig()
    const session = it.world.add('ses_a', ['old', 'other'])
    await write(it, () => false, true)
    for (const message of session.messages.slice(0, 1)) message.text = 'new'
    await it.engine.state.wake([keyOf('ses_a')], 'fresh')
    it.clock.advance(60_000)
    await it.engine.state.sweep()
    await write(it, (text) => text === 'new', true)
    expect([...it.sink.rows.values()].map(({ text }) => text)).toEqual(['other'])
  })

  it('is no document when the sink names none: it refuses all, and the record waits', async () => {
    const it = await engineRig()
    it.world.add('ses_a', many(4))
    it.sink.before = () => Promise.reject(new StorageError('SINK_REFUSED', { reason: 'wrong credentials' }))
    await using lease = await it.claim('ses_a')
    await expect(writeAll(it, lease, 'ses_a')).rejects.toMatchObject({ code: 'SINK_REFUSED' })
    expect([it.engine.state.deadLetters().length, it.engine.state.status().wal.records]).toEqual([0, 1])
  })
})

describe('[F28] [F56] a document at which the sink fails in its own words, again and again', () => {
  async function tryFor(times: number, isBad: (text: string) => boolean) {
    const it = await engineRig()
    it.world.add('ses_a', many(16))
    let calls = 0
    const { upsert } = it.sink
    const sink = {
      ...it.sink,
      upsert: async (...[rows, options]: Parameters<typeof upsert>) => {
        calls++
        if (rows.some(({ text }) => isBad(text))) throw new Error('constraint failed')
        await upsert(rows, options)
      },
    }
    const engine = { ...it.engine, sink }
    for (let i = 0; i < times; i++) {
      await using lease = await it.claim('ses_a')
      const { wal } = lease.claim
      const work = wal === undefined ? writeAll({ ...it, engine }, lease, 'ses_a') : applyRecord(engine, lease, wal, engine.state.walRead(wal), true)
      const error: unknown = await work.then(
        () => undefined,
        (thrown: unknown) => thrown,
      )
      if (error === undefined) return { it, calls }
      expect(error).toMatchObject({ code: 'SINK_FAILED' })
      await engine.state.release(lease.claim, { kind: 'failed', failure: { code: 'SINK_FAILED', reason: 'x' }, delayMs: 0 })
    }
    return { it, calls }
  }

  it('is looked for in the end, and put aside; nothing was before', async () => {
    expect((await tryFor(5, (text) => text === 'text 15')).it.engine.state.deadLetters()).toEqual([])
    const { it, calls } = await tryFor(10, (text) => text === 'text 15')
    expect(it.engine.state.deadLetters()).toMatchObject([{ message: 'msg_ses_a_0015', code: 'SINK_FAILED', reason: 'the sink failed (Error)' }])
    expect([it.sink.rows.size, it.engine.state.status().wal.records]).toEqual([15, 0])
    expect(calls).toBe(5 + 1 + 2 * Math.log2(16))
  })

  it('is none while the sink takes no other: the record stays', async () => {
    const { it, calls } = await tryFor(8, () => true)
    expect([it.engine.state.deadLetters().length, it.engine.state.status().wal.records]).toEqual([0, 1])
    expect(calls).toBeLessThanOrEqual(5 + 3 * 24)
  })
})

describe('a record of another space', () => {
  const embedder = countingEmbedder('fake-2')
  const record = {
    key: keyOf('ses_a'),
    createdAt: 0,
    rows: [],
    deletes: ['local~document~0'],
    ledger: [],
    drop: [],
    dead: [],
    embedded: 0,
    cached: 0,
    dimensions: 0,
    matrix: new Float32Array(0),
  }

  async function inSecondSpace(former: 'open' | 'not open') {
    const first = await engineRig()
    const deleted: string[] = []
    const old = { ...flakySink(), space: 'fake-1', delete: async (ids: readonly string[]) => void deleted.push(...ids) }
    await first.engine.state.bind({ space: 'fake-2', namespace: 'local' }, { rebuild: true })
    const engine = { ...first.engine, embedder, former: former === 'open' ? [old] : [] }
    first.world.add('ses_a')
    return { ...first, engine, deleted }
  }

  it('goes to the sink of that space', async () => {
    const it = await inSecondSpace('open')
    await using lease = await it.claim('ses_a')
    const seq = await it.engine.state.walAppend(lease.claim, { ...record, space: spaceIdOf('fake-1') })
    await applyRecord(it.engine, lease, seq, it.engine.state.walRead(seq), true)
    expect(it.deleted).toEqual(['local~document~0'])
  })

  it('waits while that sink is not at hand', async () => {
    const it = await inSecondSpace('not open')
    await using lease = await it.claim('ses_a')
    const seq = await it.engine.state.walAppend(lease.claim, { ...record, space: spaceIdOf('fake-1') })
    await expect(applyRecord(it.engine, lease, seq, it.engine.state.walRead(seq), true)).rejects.toThrow('earlier space')
    expect(it.engine.state.status().wal.records).toBe(1)
  })

  it('that is gone is committed without a word to any sink', async () => {
    const it = await inSecondSpace('open')
    it.sink.before = () => Promise.reject(new Error('not to be called'))
    await using lease = await it.claim('ses_a')
    const seq = await it.engine.state.walAppend(lease.claim, { ...record, space: spaceIdOf('fake-0') })
    await applyRecord(it.engine, lease, seq, { ...record, space: spaceIdOf('fake-0') }, true)
    expect([it.deleted, it.engine.state.status().wal.records]).toEqual([[], 0])
  })
})

/** Holds nothing, and notes what it is to forget. */
function forgettingCache(removed: string[]): EmbedCache {
  return {
    get: () => undefined,
    put: async () => undefined,
    remove: async (keys) => void removed.push(...keys),
    stats: () => ({ hits: 0, misses: 0 }),
    [Symbol.asyncDispose]: async () => undefined,
  }
}

describe('a session that is excluded while its record is on the way', () => {
  async function run(exclusion: Exclusion, { directory = '/home/dev/demo', after = 0 } = {}) {
    let now: Exclusion = {}
    const removed: string[] = []
    const it = await engineRig({ exclude: () => now, cache: forgettingCache(removed), limits: { sinkBatchSize: 2 } })
    it.world.add('ses_a', many(6), { directory })
    let calls = 0
    it.sink.before = ({ kind }) => {
      if (kind === 'upsert' && ++calls === after) now = exclusion
    }
    if (after === 0) now = exclusion
    await using lease = await it.claim('ses_a')
    await writeAll(it, lease, 'ses_a')
    return { it, calls, removed }
  }

  it.each([
    ['its folder', { directories: ['/home/dev'] }, {}],
    ['its project', { projects: ['project_1'] }, {}],
    ['itself', { sessions: ['ses_a'] }, {}],
    ['a folder, and nobody knows whether it ran there', { directories: ['/elsewhere'] }, { directory: '' }],
  ])('leaves nothing behind: %s', async (_, exclusion, fields) => {
    for (const after of [0, 2]) {
      const { it, calls, removed } = await run(exclusion, { ...fields, after })
      expect(calls).toBe(after)
      expect([it.sink.rows.size, ledgerOf(it, 'ses_a').length, it.engine.state.status().wal.records]).toEqual([0, 0, 0])
      expect(removed).toContain(embeddingKey('fake-1', 'document', 'text 0'))
    }
  })

  it('leaves no vector behind, though the embedder went down in the middle of a message', async () => {
    const embedder = countingEmbedder()
    const { embed } = embedder
    let calls = 0
    embedder.embed = (texts, options) => (++calls === 2 ? Promise.reject(down('EMBEDDER_UNAVAILABLE')) : embed.call(embedder, texts, options))
    const removed: string[] = []
    const cache = forgettingCache(removed)
    const it = await engineRig({ embedder, cache, limits: { batchSize: 1 } })
    const session = it.world.add('ses_a', [Array.from({ length: 110 }, (_, i) => `Sentence ${i} of many words.`).join(' ')])
    await using lease = await it.claim('ses_a')
    const batch = upsertsOf(it, 'ses_a')
    await expect(writeMessages(it.engine, lease, { batch, meta: metaOf(session), isOut: () => calls === 2 })).rejects.toMatchObject({
      code: 'EMBEDDER_UNAVAILABLE',
    })
    expect(removed).toContain(embeddingKey('fake-1', 'document', embedder.texts[0] ?? ''))
  })

  it('stays when another one is excluded', async () => {
    const { it } = await run({ directories: ['/elsewhere'], sessions: ['ses_b'] })
    expect(it.sink.rows.size).toBe(6)
  })
})

describe('records', () => {
  it('[F48] are cut by bytes, too', async () => {
    const it = await engineRig({ limits: { maxInflightBytes: 4 * 20_000, concurrency: 2 } })
    it.world.add('ses_a', many(10, 'word '.repeat(300)))
    const batches = inBatches(upsertsOf(it, 'ses_a'), it.engine)
    const bytes = batches.map((batch) => batch.flatMap(({ projected }) => projected.chunks).reduce((sum, text) => sum + 2 * text.length + 32, 0))
    expect(batches.length).toBeGreaterThan(1)
    expect(Math.max(...bytes)).toBeLessThanOrEqual(20_000)
    expect(batches.flat()).toHaveLength(10)
  })

  it('hold a message that is larger than the budget alone', async () => {
    const it = await engineRig({ limits: { maxInflightBytes: 1 } })
    it.world.add('ses_a', many(3))
    expect(inBatches(upsertsOf(it, 'ses_a'), it.engine).map(({ length }) => length)).toEqual([1, 1, 1])
  })
})
