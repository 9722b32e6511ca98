/** start, stop, tick and the wake-ups between them. */
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { StorageError } from '../../src/core/errors.js'
import type { IndexProgress } from '../../src/indexer/engine.js'
import { type Rig, rig } from '../support/index-rig.js'
import { contentOf, keyOf, type WorldSession } from '../support/index-world.js'
import { commitsIn } from '../support/lmdb-commits.js'
import { pass, settle, until } from '../support/passing-time.js'

/** Time passes by the fake clock alone, so nothing may wait for a disk. */
const IN_MEMORY = { memory: true }

const EMPTY_QUEUE = { ready: 0, leased: 0, backoff: 0 }

function say(it: Rig, session: WorldSession, text: string): void {
  const id = `msg_${session.id}_${String(session.messages.length).padStart(4, '0')}`
  it.world.edit(session, (s) => s.messages.push({ id, role: 'user', text, changed: s.updated, version: 1 }))
}

const isTrue = (it: Rig): boolean => JSON.stringify([...contentOf(it.sink)]) === JSON.stringify([...it.world.expected()])

describe('start', () => {
  it('resolves after the first listing, indexes what there is and what comes, and stop ends it', async () => {
    await using it = await rig({}, IN_MEMORY)
    const session = it.world.add('ses_a', ['one', 'two'])
    await it.indexer.start()
    expect(it.state.sessions()).toHaveLength(1)
    expect(await it.indexer.status()).toMatchObject({ started: true, running: [{ pid: 1 }] })
    await until(it.clock, () => isTrue(it))
    say(it, session, 'three')
    it.world.add('ses_b', ['four'])
    await until(it.clock, () => isTrue(it), { ms: 6000 })
    await it.indexer.stop()
    expect(await it.indexer.status()).toMatchObject({ started: false, running: [], queue: EMPTY_QUEUE })
    say(it, session, 'five')
    await pass(it.clock, 10_000)
    expect(isTrue(it)).toBe(false)
    await it.indexer.stop()
    await it.indexer.start()
    await until(it.clock, () => isTrue(it))
  })

  it('lists again every listRefreshMs, not at every poll', async () => {
    await using it = await rig({ pollMs: 1000, listRefreshMs: 5000 }, IN_MEMORY)
    let listings = 0
    const source = it.world.source()
    const { indexer } = await it.join(2, {
      sessions: {
        ...source,
        list: (signal) => {
          listings++
          return source.list(signal)
        },
      },
      pollMs: 1000,
      listRefreshMs: 5000,
    })
    await indexer.start()
    await pass(it.clock, 20_000)
    expect(listings).toBe(5)
  })

  it('begins at once what is enqueued, and what waits for its time then', async () => {
    await using it = await rig({ pollMs: 100_000, listRefreshMs: 100_000, settleMs: 5000, settleRecheckMs: 5000 }, IN_MEMORY)
    const session = it.world.add('ses_a', ['one'])
    await it.indexer.start()
    await until(it.clock, () => isTrue(it), { ms: 1000 })
    it.world.edit(session, (s) => Object.assign(s.messages[0] ?? {}, { text: 'edited', version: 2 }))
    expect(await it.indexer.enqueue(keyOf('ses_a'))).toBe(true)
    await settle()
    // A last message that was just changed is not final yet; its recheck is.
    await until(it.clock, () => isTrue(it), { ms: 7000 })
    it.world.add('ses_b', ['new'])
    expect(await it.indexer.enqueue(keyOf('ses_b'))).toBe(true)
    await until(it.clock, () => isTrue(it), { ms: 1000 })
    expect(await it.indexer.enqueue(keyOf('ses_nobody'))).toBe(false)
  })

  it('[F51] goes on with what is queued while listings fail, and says so', async () => {
    const events: IndexProgress[] = []
    await using it = await rig({}, IN_MEMORY)
    it.world.add('ses_a', ['one'])
    await it.indexer.observe()
    const source = it.world.source()
    let broken = true
    const sessions = { ...source, list: () => (broken ? Promise.reject(new Error('EIO')) : source.list()) }
    const { indexer } = await it.join(2, { sessions })
    indexer.on('error', (event) => events.push(event))
    await indexer.start()
    await until(it.clock, () => isTrue(it), { ms: 1000 })
    expect(events).toMatchObject([{ kind: 'error', during: 'listing', failure: { code: 'UNEXPECTED' } }])
    it.world.add('ses_b', ['two'])
    await pass(it.clock, 10_000)
    expect(isTrue(it)).toBe(false)
    broken = false
    await until(it.clock, () => isTrue(it), { ms: 6000 })
  })

  it('stumbles over a state that fails, tells it, and goes on', async () => {
    const events: IndexProgress[] = []
    await using it = await rig({}, IN_MEMORY)
    it.world.add('ses_a', ['one'])
    let broken = true
    const failing = async (): Promise<never> => {
      throw new StorageError('STATE_UNAVAILABLE', { reason: 'the disk is full' })
    }
    const state = { ...it.state, slowScan: (options: { limit: number; minAgeMs: number }) => (broken ? failing() : it.state.slowScan(options)) }
    const { indexer } = await it.join(2, { state, onProgress: (event) => events.push(event) })
    await indexer.start()
    expect(await indexer.status()).toMatchObject({ started: true, failure: { code: 'STATE_UNAVAILABLE' } })
    await until(it.clock, () => isTrue(it), { ms: 5000 })
    expect(events.filter(({ kind }) => kind === 'error')).not.toEqual([])
    broken = false
    await until(it.clock, async () => (await indexer.status()).failure === undefined)
  })

  it('ends for good when the model behind the embedder changed, as a drain does', async () => {
    await using it = await rig({}, IN_MEMORY)
    it.world.add('ses_a', ['one'])
    it.embedder.failure = new StorageError('EMBEDDER_CHANGED', { reason: 'another digest' })
    await it.indexer.observe()
    await expect(it.indexer.drain()).rejects.toMatchObject({ code: 'EMBEDDER_CHANGED' })
    expect(it.state.status().queue).toEqual({ ready: 1, leased: 0, backoff: 0 })
    await it.indexer.start()
    await until(it.clock, async () => !(await it.indexer.status()).started, { ms: 5000 })
    expect(await it.indexer.status()).toMatchObject({ failure: { code: 'EMBEDDER_CHANGED' }, running: [] })
  })

  it('ends with the signal of the indexer, and nothing runs afterwards', async () => {
    const stop = new AbortController()
    await using it = await rig({ signal: stop.signal }, IN_MEMORY)
    await it.indexer.start()
    stop.abort()
    await until(it.clock, async () => !(await it.indexer.status()).started, { ms: 2000 })
    await expect(it.indexer.drain()).rejects.toMatchObject({ code: 'STATE_UNAVAILABLE' })
  })

  it('looks for changes while a long drain is under way', async () => {
    await using it = await rig({ concurrency: 1 }, IN_MEMORY)
    it.world.add('ses_long', ['one'])
    let release = (): void => undefined
    it.sink.before = () =>
      it.sink.rows.size > 0
        ? undefined
        : new Promise((resolve) => {
            release = resolve
          })
    await it.indexer.start()
    await settle()
    it.world.add('ses_b', ['two'])
    await pass(it.clock, 6000)
    expect(it.state.sessions()).toHaveLength(2)
    it.sink.before = () => undefined
    release()
    await until(it.clock, () => isTrue(it), { ms: 3000 })
  })
})

describe('a tick', () => {
  it('lists, claims at most so many, and does not overlap', async () => {
    await using it = await rig({}, IN_MEMORY)
    for (let i = 0; i < 5; i++) it.world.add(`ses_${i}`, [`text ${i}`])
    let inside = 0
    let most = 0
    it.sink.before = async () => {
      most = Math.max(most, ++inside)
      await settle(2)
      inside--
    }
    const [first, second] = await Promise.all([it.indexer.tick({ maxSessions: 2 }), it.indexer.tick({ maxSessions: 2 })])
    expect(first).toMatchObject({ observed: { changed: 5 }, claims: 2, sessions: 2, listFailure: undefined })
    expect(second).toMatchObject({ observed: undefined, claims: 2 })
    expect(it.state.status()).toMatchObject({ lastTick: { sessions: 2, messages: 2 }, counters: { ticks: 2, tickSessions: 4, tickMessages: 4 } })
    expect(await it.indexer.tick()).toMatchObject({ claims: 1 })
    expect(await it.indexer.tick()).toMatchObject({ claims: 0 })
    expect(it.state.status().counters.ticks).toBe(3)
    await expect(it.indexer.tick({ maxSessions: 0 })).rejects.toMatchObject({ code: 'INVALID_OPTION' })
  })

  it('[F51] works on what is queued when the listing fails, and says why it did', async () => {
    await using it = await rig({}, IN_MEMORY)
    it.world.add('ses_a', ['one'])
    await it.indexer.observe()
    const { indexer } = await it.join(2, {
      sessions: { ...it.world.source(), list: () => Promise.reject(new StorageError('STORE_BUSY', { reason: 'busy' })) },
    })
    expect(await indexer.tick()).toMatchObject({ claims: 1, observed: undefined, listFailure: { code: 'STORE_BUSY', reason: 'busy' } })
    expect(isTrue(it)).toBe(true)
  })
})

describe('the write-ahead log, by hand', () => {
  it.each([
    ['one at a time, with three commits each', 1, 3],
    ['several at a time, which share them', 2, 1.5],
  ])('is sent %s', async (_, concurrency, most) => {
    await using it = await rig({ concurrency })
    const sessions = 16
    for (let i = 0; i < sessions; i++) it.world.add(`ses_${i}`, [`text ${i}`])
    it.sink.before = () => Promise.reject(new Error('down'))
    await it.run()
    it.sink.before = () => undefined
    const file = join(it.folder, 'state.mdb')
    const before = commitsIn(file)
    expect(await it.indexer.walRecover({ limit: sessions })).toEqual({ records: sessions, documents: sessions })
    // One beside them has all of them sent.
    expect(commitsIn(file) - before).toBeLessThanOrEqual(most * sessions + 2)
    expect(contentOf(it.sink)).toEqual(it.world.expected())
  })

  it('is told, and sent without reading or embedding', async () => {
    await using it = await rig({}, IN_MEMORY)
    for (const id of ['ses_a', 'ses_b', 'ses_c']) it.world.add(id, [`text of ${id}`])
    it.sink.before = () => Promise.reject(new Error('down'))
    await it.run()
    expect(await it.indexer.walStatus()).toMatchObject({ records: 3, sessions: [{ documents: 1 }, { documents: 1 }, { documents: 1 }] })
    it.sink.before = () => undefined
    it.clock.advance(120_000)
    it.world.hydrated.length = 0
    it.embedder.texts.length = 0
    expect(await it.indexer.walRecover({ limit: 2 })).toEqual({ records: 2, documents: 2 })
    expect(await it.indexer.walRecover()).toEqual({ records: 1, documents: 1 })
    expect([it.world.hydrated, it.embedder.texts]).toEqual([[], []])
    expect(isTrue(it)).toBe(true)
  })
})

describe('a reset', () => {
  it('reads and writes a session anew', async () => {
    await using it = await rig({}, IN_MEMORY)
    it.world.add('ses_a', ['one', 'two'])
    await it.run()
    const before = new Map([...it.sink.rows].map(([id, { metadata }]) => [id, Object(metadata).rev]))
    expect(await it.indexer.resetSession(keyOf('ses_a'))).toBe(true)
    expect(await it.indexer.resetSession(keyOf('ses_nobody'))).toBe(false)
    expect(await it.indexer.drain()).toMatchObject({ documents: 2 })
    for (const [id, { metadata }] of it.sink.rows) expect(Object(metadata).rev).toBeGreaterThan(before.get(id) ?? 0)
  })
})

describe('claims beside one another', () => {
  it('one embeds while another sends', async () => {
    await using it = await rig({ concurrency: 2 }, IN_MEMORY)
    for (let i = 0; i < 4; i++) it.world.add(`ses_${i}`, [`text ${i}`])
    const order: string[] = []
    const { embed } = it.embedder
    it.embedder.embed = async (texts, options) => {
      order.push('embed')
      await settle(3)
      return embed.call(it.embedder, texts, options)
    }
    it.sink.before = async () => {
      order.push('send')
      await settle(10)
      order.push('sent')
    }
    await it.run()
    expect(isTrue(it)).toBe(true)
    const overlapped = order.some((what, at) => what === 'embed' && order.slice(0, at).lastIndexOf('send') > order.slice(0, at).lastIndexOf('sent'))
    expect(overlapped).toBe(true)
  })

  it('a failure that concerns all ends the drain, and frees every lease', async () => {
    await using it = await rig({ concurrency: 3 }, IN_MEMORY)
    for (let i = 0; i < 6; i++) it.world.add(`ses_${i}`, [`text ${i}`])
    const walAppend = () => Promise.reject(new StorageError('STATE_UNAVAILABLE', { reason: 'the disk is full' }))
    const { indexer } = await it.join(2, { state: { ...it.state, walAppend } })
    await indexer.observe()
    await expect(indexer.drain()).rejects.toMatchObject({ code: 'STATE_UNAVAILABLE' })
    expect(it.state.status().queue).toEqual({ ready: 6, leased: 0, backoff: 0 })
  })
})
