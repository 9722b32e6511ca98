/** A message that ends the process that works on it: found by working on messages one at a time, put aside, and everything else goes on. */
import { describe, expect, it } from 'vitest'
import type { IndexProgress } from '../../src/indexer/engine.js'
import { createIndexer } from '../../src/indexer/indexer.js'
import { memoryState, memoryStatePlace } from '../../src/indexer/state/memory/state.js'
import type { LocalIndexStore } from '../../src/indexer/state/state.js'
import { rig } from '../support/index-rig.js'
import { contentOf, countingEmbedder, fakeClock, fakeOwners, flakySink, keyOf, World } from '../support/index-world.js'
import { settle } from '../support/passing-time.js'

/** Each process has a pid of its own; one that meets the poison never comes back. */
function machine() {
  const clock = fakeClock()
  const world = new World(clock)
  const sink = flakySink()
  const place = memoryStatePlace()
  const dead = new Set<number>()
  const given: string[] = []
  let pid = 0
  const run = async (kills: (texts: readonly string[]) => boolean, concurrency = 1): Promise<'ended' | 'died'> => {
    const own = ++pid
    const state = memoryState({ clock, place, owners: fakeOwners(own, dead), leaseMs: 10_000 })
    const embedder = countingEmbedder()
    const { embed } = embedder
    let die = (_: 'died'): void => undefined
    const death = new Promise<'died'>((resolve) => {
      die = resolve
    })
    embedder.embed = async (texts, options) => {
      given.push(...texts)
      if (!kills(texts)) return embed.call(embedder, texts, options)
      // Others of the process have begun by then.
      await settle(5)
      dead.add(own)
      die('died')
      return new Promise(() => undefined)
    }
    const indexer = createIndexer({ sessions: world.source(), state, embedder, sink, clock, random: () => 0.5, concurrency })
    await indexer.observe()
    return Promise.race([death, indexer.drain().then(() => 'ended' as const)])
  }
  const state = memoryState({ clock, place, owners: fakeOwners(9999, dead) })
  return { clock, world, sink, state, run, given }
}

describe('a message that ends its process', () => {
  it('[B19] is found within five deaths, put aside, and the rest of the session is indexed', async () => {
    const { world, sink, state, run } = machine()
    world.add('ses_a', ['one', 'poison', 'three', 'four'])
    world.add('ses_b', ['five'])
    const kills = (texts: readonly string[]): boolean => texts.includes('poison')
    let deaths = 0
    while ((await run(kills)) === 'died') if (++deaths > 10) break
    expect(deaths).toBeLessThanOrEqual(5)
    while ((await state.sweep()) > 0);
    expect(await run(kills)).toBe('ended')
    expect([...sink.rows.values()].map(({ text }) => text).sort()).toEqual(['five', 'four', 'one', 'three'])
    expect(state.deadLetters()).toMatchObject([{ kind: 'message', message: 'msg_ses_a_0001', code: 'CRASHED_INDEXER', key: keyOf('ses_a') }])
    expect(state.ledger(keyOf('ses_a')).get('msg_ses_a_0001' as never)).toMatchObject({ state: 'quarantined', chunks: [] })
    expect(state.status().queue).toEqual({ ready: 0, leased: 0, backoff: 0 })
  })

  it('is not read again while it is as it was, is retried by hand, and taken back when its text changes', async () => {
    const { world, sink, state, run, given } = machine()
    const session = world.add('ses_a', ['one', 'poison'])
    const kills = (texts: readonly string[]): boolean => texts.includes('poison')
    for (let i = 0; i < 10 && (await run(kills)) === 'died'; i++);
    given.length = 0
    world.edit(session, (s) => s.messages.push({ id: 'msg_ses_a_0005', role: 'user', text: 'later', changed: s.updated, version: 1 }))
    expect(await run(kills)).toBe('ended')
    expect(given).toEqual(['later'])
    expect(await state.retryDead()).toBe(1)
    expect(await run(() => false)).toBe('ended')
    expect(contentOf(sink)).toEqual(world.expected())
    expect(state.deadLetters()).toEqual([])
  })

  it('takes the place of nothing: the older documents of it go', async () => {
    const { world, sink, run } = machine()
    const session = world.add('ses_a', ['one', 'two'])
    expect(await run(() => false)).toBe('ended')
    world.edit(session, (s) => Object.assign(s.messages[1] ?? {}, { text: 'poison', version: 2 }))
    const kills = (texts: readonly string[]): boolean => texts.includes('poison')
    for (let i = 0; i < 10 && (await run(kills)) === 'died'; i++);
    expect([...sink.rows.values()].map(({ text }) => text)).toEqual(['one'])
  })

  it('and another one are both found', async () => {
    const { world, sink, state, run } = machine()
    world.add('ses_a', ['poison 1', 'two', 'poison 2', 'four'])
    const kills = (texts: readonly string[]): boolean => texts.some((text) => text.startsWith('poison'))
    let deaths = 0
    while ((await run(kills)) === 'died') if (++deaths > 20) break
    expect(deaths).toBeLessThanOrEqual(10)
    expect([...sink.rows.values()].map(({ text }) => text).sort()).toEqual(['four', 'two'])
    expect(state.deadLetters()).toHaveLength(2)
  })

  it('takes no innocent one along that is worked on at the same time', async () => {
    const { world, sink, state, run } = machine()
    // The others wait behind the poison for their turn at the embedder.
    world.add('ses_poison', ['poison', 'three'])
    for (const id of ['ses_a', 'ses_b', 'ses_c', 'ses_d']) world.add(id, [`${id} one`, `${id} two`])
    const kills = (texts: readonly string[]): boolean => texts.includes('poison')
    let deaths = 0
    while ((await run(kills, 4)) === 'died') if (++deaths > 20) break
    expect(deaths).toBeLessThanOrEqual(5)
    expect(state.deadLetters()).toMatchObject([{ code: 'CRASHED_INDEXER', key: keyOf('ses_poison') }])
    expect(sink.rows.size).toBe(9)
  })

  it('is no innocent one: kills that come from elsewhere put nothing aside', async () => {
    const { world, sink, state, run } = machine()
    world.add(
      'ses_a',
      Array.from({ length: 12 }, (_, i) => `text ${i}`),
    )
    let calls = 0
    // Every third call of the embedder ends the process, whatever it was given.
    for (let i = 0; i < 60 && (await run(() => ++calls % 3 === 0)) === 'died'; i++);
    expect(state.deadLetters()).toEqual([])
    expect(contentOf(sink)).toEqual(world.expected())
  })
})

it('a session is worked on one message at a time only while no other one is worked on', async () => {
  const held = new Set<string>()
  const beside: number[] = []
  await using it = await rig()
  for (const id of ['ses_a', 'ses_b', 'ses_c', 'ses_d']) it.world.add(id, [`${id} one`, `${id} two`])
  const state: LocalIndexStore = {
    ...it.state,
    async claim(request) {
      const claim = await it.state.claim(request)
      return claim?.key.session === 'ses_b' ? { ...claim, crashes: 3 } : claim
    },
    async probe(claim, message) {
      beside.push(held.size - 1)
      await it.state.probe(claim, message)
    },
  }
  const onProgress = ({ kind, ...event }: IndexProgress): void => {
    if (!('key' in event) || event.key === undefined) return
    if (kind === 'claimed') held.add(event.key.session)
    if (kind === 'released') held.delete(event.key.session)
  }
  const { indexer } = await it.join(2, { state, onProgress, concurrency: 4 })
  await indexer.observe()
  await indexer.drain()
  expect(beside).toEqual([0, 0])
  expect(contentOf(it.sink)).toEqual(it.world.expected())
})
