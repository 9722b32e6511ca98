/** Sequences after which the sink, the ledger or the verification might not say what the sessions say. */
import { describe, expect, it } from 'vitest'
import { StorageError } from '../../src/core/errors.js'
import type { Exclusion } from '../../src/indexer/exclusion.js'
import { createIndexer } from '../../src/indexer/indexer.js'
import { memoryState, memoryStatePlace } from '../../src/indexer/state/memory/state.js'
import { rig } from '../support/index-rig.js'
import { contentOf, countingEmbedder, fakeClock, fakeOwners, flakySink, keyOf, World } from '../support/index-world.js'
import { settle } from '../support/passing-time.js'

const TRUE = { differences: [], unknown: 0 }

it('a session that was deleted before a repair leaves no document behind that no row names', async () => {
  await using it = await rig({}, { memory: true })
  it.world.add('ses_a', ['one'])
  it.world.add('ses_b', ['two'])
  await it.run()
  const [row] = [...it.sink.rows.values()].filter(({ text }) => text === 'one')
  if (row === undefined) throw new Error('no document')
  await it.sink.upsert([{ ...row, id: 'local~aaaaaaaaaaaaaaaaaaaaaaaaaa~0' } as never])
  it.world.sessions.delete('ses_a')
  const report = await it.indexer.verify({ repair: true })
  expect(report.differences).toEqual([])
  expect(contentOf(it.sink)).toEqual(it.world.expected())
})

it('a message that is still written and was reset is no difference, and settles in its time', async () => {
  await using it = await rig({}, { memory: true })
  const session = it.world.add('ses_a', ['one', 'two'])
  await it.run()
  it.world.edit(session, ({ messages }) => {
    const [, last] = messages
    if (last === undefined) return
    last.version++
    last.changed = it.clock.now()
    last.text = 'two and more'
    delete last.completed
  })
  await it.run()
  expect(await it.indexer.verify()).toMatchObject({ ...TRUE, unsettled: 1 })
  await it.indexer.resetSession(keyOf('ses_a'))
  await it.indexer.drain()
  expect(await it.indexer.verify()).toMatchObject({ ...TRUE, unsettled: 1 })
})

it('a message that is still written and whose older documents the sink lost is no difference for ever', async () => {
  await using it = await rig({}, { memory: true })
  const session = it.world.add('ses_a', ['one', 'two'])
  await it.run()
  it.world.edit(session, ({ messages }) => {
    const [, last] = messages
    if (last === undefined) return
    last.version++
    last.changed = it.clock.now()
    last.text = 'two and more'
    delete last.completed
  })
  await it.run()
  const [row] = [...it.sink.rows.values()].filter(({ text }) => text === 'two')
  await it.sink.delete([(row as { id?: string } | undefined)?.id ?? ''])
  expect(await it.indexer.verify({ repair: true })).toMatchObject({ differences: [] })
  expect(await it.indexer.verify()).toMatchObject({ ...TRUE, unsettled: 1 })
})

it('a message of which a chunk was refused is outdated once its text changed', async () => {
  await using it = await rig({}, { memory: true })
  const session = it.world.add('ses_a', ['one', 'two'])
  await it.run()
  const key = keyOf('ses_a')
  const claim = await it.state.claim({ only: key })
  const [message, row] = [...it.state.ledger(key)][1] ?? []
  if (claim === undefined || row === undefined || message === undefined) throw new Error('no claim')
  await it.state.commit(claim, { ledger: [{ message, row: { ...row, state: 'quarantined' } }] })
  await it.state.release(claim, { kind: 'done' })
  expect(await it.indexer.verify()).toMatchObject({ ...TRUE, quarantined: 1 })
  const [, last] = session.messages
  if (last !== undefined) last.text = 'another text, of which no revision tells'
  expect((await it.indexer.verify()).differences).toMatchObject([{ kind: 'outdated', message }])
})

describe('a message that ended its processes', () => {
  function machine() {
    const clock = fakeClock()
    const world = new World(clock)
    const sink = flakySink()
    const place = memoryStatePlace()
    const dead = new Set<number>()
    let pid = 0
    const run = async (kills: (texts: readonly string[]) => boolean): Promise<'ended' | 'died'> => {
      const own = ++pid
      const state = memoryState({ clock, place, owners: fakeOwners(own, dead), leaseMs: 10_000 })
      const embedder = countingEmbedder()
      const { embed } = embedder
      let die = (_: 'died'): void => undefined
      const death = new Promise<'died'>((resolve) => {
        die = resolve
      })
      embedder.embed = async (texts, options) => {
        if (!kills(texts)) return embed.call(embedder, texts, options)
        await settle(5)
        dead.add(own)
        die('died')
        return new Promise(() => undefined)
      }
      const indexer = createIndexer({ sessions: world.source(), state, embedder, sink, clock, random: () => 0.5, concurrency: 1 })
      await indexer.observe()
      return Promise.race([death, indexer.drain().then(() => 'ended' as const)])
    }
    return { world, sink, clock, state: memoryState({ clock, place, owners: fakeOwners(9999, dead) }), run }
  }
  const kills = (texts: readonly string[]): boolean => texts.includes('poison')

  it('is left alone when the title of its session changes', async () => {
    const { world, sink, state, run } = machine()
    const session = world.add('ses_a', ['one', 'poison', 'three'])
    for (let i = 0; i < 10 && (await run(kills)) === 'died'; i++);
    expect(await run(kills)).toBe('ended')
    world.edit(session, (s) => {
      s.title = 'Another title'
    })
    expect(await run(kills)).toBe('ended')
    expect([...sink.rows.values()].map(({ metadata }) => metadata.title)).toEqual(['Another title', 'Another title'])
    expect(state.deadLetters()).toHaveLength(1)
  })

  it('is found while its session is written to all the time', async () => {
    const { world, clock, state, run } = machine()
    const session = world.add('ses_a', ['poison', 'two', 'three'])
    const last = { id: 'msg_ses_a_0009', role: 'assistant' as const, text: 'now', changed: clock.now(), version: 1 }
    session.messages.push(last)
    let deaths = 0
    for (;;) {
      if ((await run(kills)) === 'ended' || ++deaths > 12) break
      clock.advance(1000)
      world.edit(session, () => Object.assign(last, { version: last.version + 1, changed: clock.now() }))
    }
    expect(deaths).toBeLessThanOrEqual(6)
    expect(state.deadLetters()).toMatchObject([{ code: 'CRASHED_INDEXER' }])
  })
})

it('an indexer that was stopped twice at once starts and stops again', async () => {
  await using it = await rig({}, { memory: true })
  it.world.add('ses_a', ['one'])
  let release = (): void => undefined
  const hold = new Promise<void>((resolve) => {
    release = resolve
  })
  const source = it.world.source()
  let held = false
  const { indexer } = await it.join(2, { sessions: { ...source, list: async () => (held ? hold.then(() => source.list()) : source.list()) } })
  await indexer.start()
  const first = indexer.stop()
  held = true
  const slow = indexer.observe().catch(() => undefined)
  const second = indexer.stop()
  await first
  held = false
  await indexer.start()
  release()
  await Promise.all([slow, second])
  expect((await indexer.status()).started).toBe(true)
  expect(await Promise.race([indexer.stop().then(() => 'stopped'), settle(50).then(() => 'hangs')])).toBe('stopped')
})

it('what is to be tried again stays so, though its session is read at that moment', async () => {
  await using it = await rig({}, { memory: true })
  const session = it.world.add('ses_a', ['one', 'bad'])
  const { embed } = it.embedder
  let refuses = true
  it.embedder.embed = async (texts, options) => {
    if (refuses && texts.includes('bad')) throw new StorageError('TEXT_REFUSED', { reason: 'refused' })
    return embed.call(it.embedder, texts, options)
  }
  await it.run()
  expect(it.state.deadLetters()).toHaveLength(1)
  refuses = false
  // Its signature moves, its text does not.
  it.world.edit(session, ({ messages }) => Object.assign(messages[1] ?? {}, { version: 2 }))
  const source = it.world.source()
  let retried = 0
  const { indexer } = await it.join(2, {
    sessions: {
      ...source,
      tail: async (...args) => {
        const tail = await source.tail(...args)
        retried += await it.state.retryDead()
        return tail
      },
    },
  })
  await indexer.observe()
  await indexer.drain()
  expect(retried).toBe(1)
  expect(contentOf(it.sink)).toEqual(it.world.expected())
  expect(it.state.deadLetters()).toEqual([])
})

it('a verification reads no larger pages than its share of the memory', async () => {
  await using it = await rig({ maxInflightBytes: 3000 }, { memory: true })
  it.world.add('ses_a', ['one'])
  await it.run()
  const source = it.world.source()
  const budgets: unknown[] = []
  const { indexer } = await it.join(2, {
    maxInflightBytes: 3000,
    sessions: {
      ...source,
      tail: (key, known, options) => {
        budgets.push(options?.bytes)
        return source.tail(key, known, options)
      },
    },
  })
  await indexer.verify()
  // In memory they are eight times as large.
  expect(budgets).toEqual([375])
})

it('a document that waits for its turn at the sink while its session is excluded does not get there', async () => {
  let exclude: Exclusion = {}
  await using it = await rig({ exclude: () => exclude }, { memory: true })
  it.world.add('ses_a', ['one'])
  it.world.add('ses_b', ['two'])
  const upserted: string[] = []
  it.sink.before = async ({ kind, ids }) => {
    if (kind !== 'upsert') return
    upserted.push(...ids)
    // The other one has its record by now, and waits.
    if (upserted.length > 1) return
    await settle()
    expect(it.state.status().wal.records).toBe(2)
    exclude = { sessions: ['ses_a', 'ses_b'] }
  }
  await it.run()
  expect(upserted).toHaveLength(1)
  expect(it.sink.rows.size).toBe(0)
  expect(it.state.status()).toMatchObject({ wal: { records: 0 }, ledger: { messages: 0 } })
})

it('an indexer that is started while it still stops, starts once it has', async () => {
  await using it = await rig({}, { memory: true })
  it.world.add('ses_a', ['one'])
  await it.indexer.start()
  const stop = it.indexer.stop()
  await it.indexer.start()
  await stop
  await settle()
  expect((await it.indexer.status()).started).toBe(true)
})
