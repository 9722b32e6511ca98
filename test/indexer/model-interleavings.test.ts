/** Interleavings that chance rarely finds, step by step, with no slow scan to cover for what is lost. */
import { describe, expect, it } from 'vitest'
import { SUSPECT_LEASES } from '../../src/indexer/state/rows.js'
import { keyOf, type WorldSession } from '../support/index-world.js'
import { Host, LEASE_MS, type Process } from '../support/model-host.js'
import { brokenAtRest, comeToRest, Invariants } from '../support/model-invariants.js'
import type { ModelPlace } from '../support/model-place.js'
import { lmdbPlace, memoryPlace } from '../support/model-places.js'
import type { Trap } from '../support/model-process.js'

const A = keyOf('ses_a')

interface Scene extends AsyncDisposable {
  readonly host: Host
  readonly session: WorldSession
  process(at: number): Promise<Process>
  /** Observes and drains; ends where the trap springs. */
  run(at: number, trap?: Trap): Promise<string>
  /** The texts that the sink holds. */
  held(): string[]
  /** Everything ends well, and no invariant was broken. */
  ends(): Promise<void>
}

async function scene(place: ModelPlace, texts: readonly string[]): Promise<Scene> {
  const host = new Host(place, { cache: false, walEnabled: true, concurrency: 1 })
  await host.begin()
  const invariants = new Invariants(host)
  const session = host.world.add(A.session, texts)
  const process = (at: number) => host.processAt(at)
  return {
    host,
    session,
    process,
    async run(at, trap) {
      const one = await process(at)
      if (trap !== undefined) one.gate.arm(trap)
      return host.run(one, async () => {
        await one.indexer.observe()
        await one.indexer.drain()
      })
    },
    held: () => [...(host.sinks.get('alpha')?.rows.values() ?? [])].map(({ text }) => text).sort(),
    async ends() {
      expect(invariants.check()).toEqual([])
      await comeToRest(host, { scan: false })
      expect([...invariants.check(), ...brokenAtRest(host)]).toEqual([])
    },
    [Symbol.asyncDispose]: () => host[Symbol.asyncDispose](),
  }
}

function say(scene: Scene, text: string): void {
  const { host, session } = scene
  host.world.edit(session, ({ messages }) => {
    messages.push({ id: `msg_ses_a_9${messages.length}`, role: 'assistant', text, changed: host.clock.now(), completed: 1, version: 1 })
  })
}

function describeInterleavings(place: () => Promise<ModelPlace>): void {
  it('a change that is observed between the reading and the release is not lost', async () => {
    await using it = await scene(await place(), ['one'])
    // Its last word to the sink is under way: what it read is read.
    expect(await it.run(0, { point: 'sink:after', nth: 1, action: 'stop' })).toBe('stopped')
    say(it, 'two')
    expect(await it.run(1)).toBe('done')
    expect(it.held()).toEqual(['one'])
    expect(await it.host.resume(await it.process(0))).toBe('done')
    expect(it.held()).toEqual(['one', 'two'])
    expect(it.host.observer.status().counters.scans).toBe(0)
    await it.ends()
  })

  it('nor is one that is observed after the last reading of all, by a process that then ends', async () => {
    await using it = await scene(await place(), ['one'])
    expect(await it.run(0, { point: 'h', nth: 1, action: 'kill' })).toBe('dead')
    say(it, 'two')
    const second = await it.process(1)
    await second.indexer.observe()
    it.host.kill(second)
    const third = await it.process(2)
    await it.host.run(third, () => third.indexer.drain())
    expect(it.held()).toEqual(['one', 'two'])
    await it.ends()
  })

  it('an owner that wakes up and says so before any sweep listed it as a suspect leaves nothing that cannot rest', async () => {
    await using it = await scene(await place(), ['one', 'two', 'three'])
    expect(await it.run(0, { point: 'sink:before', nth: 1, action: 'stop' })).toBe('stopped')
    const sleeper = await it.process(0)
    const claim = it.host.witness.claims.at(-1)
    if (claim === undefined) throw new Error('nothing is claimed')
    it.host.clock.advance(11_000)
    // It loses heart at once, and nobody swept.
    await it.host.observer.lost(claim)
    expect(it.host.observer.status()).toMatchObject({ suspects: 0, queue: { ready: 1, leased: 0 } })
    expect(await it.run(1)).toBe('done')
    it.session.messages.pop()
    it.host.world.edit(it.session, () => undefined)
    expect(await it.run(1)).toBe('done')
    expect(it.held()).toEqual(['one', 'two'])
    // The request that was under way reaches the sink now; then it finds its lease lost, and says so again.
    await it.host.resume(sleeper)
    await it.ends()
    expect(it.held()).toEqual(['one', 'two'])
  })

  it('the late word of an owner that was listed as a suspect is undone once it says so', async () => {
    await using it = await scene(await place(), ['one', 'two'])
    expect(await it.run(0, { point: 'sink:before', nth: 1, action: 'stop' })).toBe('stopped')
    it.host.clock.advance(11_000)
    Object.assign(it.session.messages[0] ?? {}, { text: 'one, edited', version: 2 })
    it.host.world.edit(it.session, () => undefined)
    expect(await it.run(1)).toBe('done')
    expect(it.held()).toEqual(['one, edited', 'two'])
    expect(it.host.observer.status().suspects).toBe(1)
    await it.host.resume(await it.process(0))
    await it.ends()
    expect(it.held()).toEqual(['one, edited', 'two'])
    expect(it.host.observer.status()).toMatchObject({ suspects: 0, counters: { scans: 0 } })
  })

  it('the late word of an owner about a session that was removed meanwhile is undone', async () => {
    await using it = await scene(await place(), ['one', 'two'])
    expect(await it.run(0, { point: 'sink:before', nth: 1, action: 'stop' })).toBe('stopped')
    it.host.clock.advance(11_000)
    it.host.world.sessions.delete(A.session)
    expect(await it.run(1)).toBe('done')
    expect(it.held()).toEqual([])
    await it.host.resume(await it.process(0))
    await it.ends()
    expect(it.held()).toEqual([])
    expect(it.host.observer.sessions()).toEqual([])
  })

  it('and that of one that was not heard of for so long that nobody waits for it any more', async () => {
    await using it = await scene(await place(), ['one', 'two'])
    expect(await it.run(0, { point: 'sink:before', nth: 1, action: 'stop' })).toBe('stopped')
    it.host.clock.advance(11_000)
    it.host.world.sessions.delete(A.session)
    expect(await it.run(1)).toBe('done')
    it.host.clock.advance(SUSPECT_LEASES * LEASE_MS)
    expect(await it.run(1)).toBe('done')
    expect(it.host.observer.sessions()).toEqual([])
    await it.host.resume(await it.process(0))
    await it.ends()
    expect(it.held()).toEqual([])
    expect(it.host.observer.sessions()).toEqual([])
  })

  it('a record from before a reset is sent first, and does not undo the reset', async () => {
    await using it = await scene(await place(), ['one', 'two'])
    expect(await it.run(0, { point: 'e', nth: 1, action: 'kill' })).toBe('dead')
    await it.host.observer.sweep()
    expect(it.host.observer.status().wal.records).toBe(1)
    expect(await it.host.observer.reset([A])).toBe(1)
    const written: string[] = []
    const sink = it.host.sinks.get('alpha')
    const upsert = sink?.upsert.bind(sink)
    if (sink !== undefined && upsert !== undefined) {
      sink.upsert = async (rows) => {
        written.push(...rows.map(({ text }) => text))
        await upsert(rows)
      }
    }
    expect(await it.run(1)).toBe('done')
    // The record, and then each message anew.
    expect(written).toEqual(['one', 'two', 'one', 'two'])
    await it.ends()
  })

  it('a reset while a run is under way is not undone by its release', async () => {
    await using it = await scene(await place(), ['one'])
    expect(await it.run(0, { point: 'sink:after', nth: 1, action: 'stop' })).toBe('stopped')
    expect(await it.host.observer.reset([A])).toBe(1)
    expect(await it.host.resume(await it.process(0))).toBe('done')
    expect(it.host.observer.status().counters.upserts).toBe(2)
    await it.ends()
  })

  it.each(['e', 'f', 'g'] as const)('a takeover while a record is pending (%s) sends that record, and embeds nothing', async (point) => {
    await using it = await scene(await place(), ['one', 'two'])
    expect(await it.run(0, { point, nth: 1, action: 'kill' })).toBe('dead')
    Object.assign(it.session.messages[1] ?? {}, { text: 'two, edited', version: 2 })
    it.host.world.edit(it.session, () => undefined)
    expect(await it.run(1)).toBe('done')
    expect(it.held()).toEqual(['one', 'two, edited'])
    expect(it.host.observer.status().counters).toMatchObject({ takeovers: 1, replays: 1, embedded: 3 })
    await it.ends()
  })

  it('a takeover by expiry while a record is pending, whose owner then goes on, ends with one of each', async () => {
    await using it = await scene(await place(), ['one', 'two'])
    expect(await it.run(0, { point: 'sink:after', nth: 1, action: 'stop' })).toBe('stopped')
    it.host.clock.advance(11_000)
    expect(await it.run(1, { point: 'sink:before', nth: 1, action: 'stop' })).toBe('stopped')
    expect(await it.host.resume(await it.process(0))).toBe('done')
    expect(await it.host.resume(await it.process(1))).toBe('done')
    expect(it.held()).toEqual(['one', 'two'])
    await it.ends()
    expect(it.host.observer.status().counters).toMatchObject({ takeovers: 1, replays: 1 })
  })
}

describe('on the state in memory', () => describeInterleavings(async () => memoryPlace()))
describe('on the state in LMDB', () => describeInterleavings(lmdbPlace))
