/** Coverage, fairness and idle cost over thousands of sessions, on a clock that only the test moves: the bars B9 to B12 and B20. */
import { describe, expect, it } from 'vitest'
import type { LocalIndexStore } from '../../src/indexer/state/state.js'
import { type Rig, rig } from '../support/index-rig.js'
import { contentOf, keyOf, type WorldSession } from '../support/index-world.js'
import { pass, settle, until } from '../support/passing-time.js'

/** The bars name 5,000, which takes minutes of flushing: `SPANLEAF_TEST_SESSIONS=5000` runs them so, over LMDB. */
const SESSIONS = Number(process.env.SPANLEAF_TEST_SESSIONS ?? 500)
/** Sessions that a poll takes: as many as let the whole be scanned in fifty polls. */
const BATCH = Math.ceil(SESSIONS / 50)
const POLL_MS = 2000
/** The model copies its rows at each transition, which thousands make slow. */
const PLACE = { memory: SESSIONS <= 1000 }
/** Claims beside one another share a flush of the disk. */
const MANY = 8

/** Only the first fifty say anything, so that filling the index takes no minutes. */
function many(it: Rig, n: number): WorldSession[] {
  return Array.from({ length: n }, (_, i) => it.world.add(`ses_${String(i).padStart(5, '0')}`, i < 50 ? [`text ${i}`] : []))
}

/** Counts what changes the state, by the name of the transition. */
function counted(state: LocalIndexStore, calls: Map<string, number>): LocalIndexStore {
  const writes = [
    'observe',
    'wake',
    'claim',
    'renew',
    'walAppend',
    'commit',
    'release',
    'verify',
    'reset',
    'note',
    'probe',
    'lost',
    'slowScan',
  ] as const
  const copy: Record<string, unknown> = { ...state }
  for (const name of writes) {
    const call = state[name] as (...args: unknown[]) => unknown
    copy[name] = (...args: unknown[]) => {
      calls.set(name, (calls.get(name) ?? 0) + 1)
      return call(...args)
    }
  }
  return copy as unknown as LocalIndexStore
}

describe('the slow scan', () => {
  it('[B9] [F13] reaches every session within ceil(N/B) polls, and finds the silent edits of the oldest', async () => {
    await using it = await rig(
      { concurrency: MANY, slowScanBatch: BATCH, slowScanIntervalMs: 60_000, pollMs: POLL_MS, listRefreshMs: POLL_MS },
      PLACE,
    )
    const sessions = many(it, SESSIONS)
    await it.run()
    expect(it.sink.rows.size).toBe(50)
    it.clock.advance(60_000)
    // The revision of none of them moves.
    for (const session of sessions.slice(0, 50))
      for (const message of session.messages) Object.assign(message, { text: `${message.text}, edited`, version: 2 })
    it.world.hydrated.length = 0
    const before = it.clock.now()
    const polls = Math.ceil(SESSIONS / BATCH)
    for (let poll = 0; poll < polls; poll++) {
      expect((await it.indexer.tick({ maxSessions: BATCH })).scanned).toBe(Math.min(BATCH, SESSIONS - poll * BATCH))
      it.clock.advance(POLL_MS)
    }
    expect(it.state.sessions().every(({ checkedAt }) => checkedAt >= before)).toBe(true)
    expect(it.world.hydrated).toHaveLength(50)
    expect(contentOf(it.sink)).toEqual(it.world.expected())
  }, 900_000)

  it('[B9] finds what the sink lost, and what it got behind the index', async () => {
    await using it = await rig({ slowScanBatch: 5, slowScanIntervalMs: 0 })
    many(it, 10)
    await it.run()
    const [first, second] = [...it.sink.rows.keys()]
    await it.sink.delete([first ?? '', second ?? ''])
    for (let i = 0; i < 3; i++) await it.indexer.tick()
    expect(contentOf(it.sink)).toEqual(it.world.expected())
    expect(it.state.status().counters.repairs).toBe(2)
  })

  it('reads what was left of a damaged message again: another store may have it whole, under the same signature', async () => {
    await using it = await rig({ slowScanIntervalMs: 0 })
    const session = it.world.add('ses_a', ['one', 'two'])
    Object.assign(session.messages[0] ?? {}, { damaged: true })
    await it.run()
    it.world.hydrated.length = 0
    await it.indexer.tick()
    expect(it.world.hydrated).toEqual(['msg_ses_a_0000'])
    Object.assign(session.messages[0] ?? {}, { damaged: false, text: 'one, whole' })
    await it.indexer.tick()
    expect(contentOf(it.sink)).toEqual(it.world.expected())
    it.world.hydrated.length = 0
    await it.indexer.tick()
    expect(it.world.hydrated).toEqual([])
  })
})

describe('fairness', () => {
  it('[B10] [F12] a cold session of the backlog ends while twenty hot ones change ten times a second', async () => {
    const order: string[] = []
    await using it = await rig({ concurrency: 1, onProgress: (event) => event.kind === 'claimed' && order.push(event.key.session) })
    const hot = Array.from({ length: 20 }, (_, i) => it.world.add(`ses_hot_${i}`, ['hot']))
    await it.run()
    it.world.add('ses_cold', ['cold'])
    await it.indexer.observe()
    // As what was tried before and lost its place to fresh changes.
    it.embedder.failure = new Error('once')
    await it.indexer.drain()
    it.embedder.failure = undefined
    it.clock.advance(120_000)
    order.length = 0
    let rounds = 0
    while (!order.includes('ses_cold') && rounds++ < 100) {
      for (const session of hot) it.world.edit(session, (s) => Object.assign(s.messages[0] ?? {}, { text: `hot ${rounds}`, version: rounds + 1 }))
      await it.indexer.tick({ maxSessions: 1 })
      it.clock.advance(100)
    }
    // One turn in four of the lanes that are in use goes to what waits among the retries; no more than a round of the lanes may pass.
    expect(order.indexOf('ses_cold')).toBeLessThan(16)
    expect(order).toContain('ses_cold')
  })

  it('[B10] touching a session again and again does not move it, neither forward nor back', async () => {
    const order: string[] = []
    await using it = await rig({ concurrency: 1, onProgress: (event) => event.kind === 'claimed' && order.push(event.key.session) })
    const sessions = many(it, 6)
    await it.indexer.observe()
    for (let touch = 0; touch < 5; touch++) {
      for (const session of [...sessions].reverse().slice(0, 3)) it.world.edit(session, () => undefined)
      await it.indexer.observe()
    }
    await it.indexer.drain()
    expect(order).toEqual(sessions.map(({ id }) => id))
  })
})

describe('a message that is being written', () => {
  it('[B11] is embedded once, when it settled, and not again when it is pruned', async () => {
    await using it = await rig({}, { memory: true })
    const session = it.world.add('ses_a', ['question'])
    const answer = { id: 'msg_ses_a_0001', role: 'assistant' as const, text: '', changed: it.clock.now(), version: 1 }
    it.world.edit(session, (s) => s.messages.push(answer))
    await it.indexer.start()
    for (let second = 0; second < 60; second++) {
      it.world.edit(session, () =>
        Object.assign(answer, { text: `${answer.text} word${second}`, version: answer.version + 1, changed: it.clock.now() }),
      )
      await pass(it.clock, 1000, 1000)
    }
    expect(it.embedder.texts).toEqual(['question'])
    it.world.edit(session, () => Object.assign(answer, { completed: it.clock.now(), version: answer.version + 1 }))
    await until(it.clock, () => it.sink.rows.size === 2, { ms: 20_000 })
    expect(it.embedder.texts).toHaveLength(2)
    // Compaction marks the parts; what they say is as before.
    it.world.edit(session, () => Object.assign(answer, { version: answer.version + 1 }))
    await pass(it.clock, 20_000)
    expect(it.embedder.texts).toHaveLength(2)
    expect(contentOf(it.sink)).toEqual(it.world.expected())
    await it.indexer.stop()
  })
})

describe('idle', () => {
  it('[B12] for ten minutes hydrates nothing, and writes only what was checked', async () => {
    const calls = new Map<string, number>()
    await using it = await rig({ concurrency: MANY }, PLACE)
    many(it, SESSIONS)
    await it.run()
    const { embedded } = it.state.status().counters
    const { indexer } = await it.join(2, { state: counted(it.state, calls), concurrency: 1 })
    await indexer.tick()
    it.clock.advance(600_000)
    it.world.hydrated.length = 0
    calls.clear()
    const polls = 300
    for (let poll = 0; poll < polls; poll++) {
      expect(await indexer.tick()).toMatchObject({ claims: 3, scanned: 3, documents: 0 })
      it.clock.advance(POLL_MS)
    }
    expect(it.world.hydrated).toEqual([])
    // Three sessions a poll, and a claim that finds no more; that somebody listed is noted once a minute, what a tick did at its end.
    expect(Object.fromEntries(calls)).toEqual({ slowScan: polls, claim: 4 * polls, release: 3 * polls, note: polls + 10 })
    expect(it.state.status().counters.embedded).toBe(embedded)
  }, 900_000)

  it('[B12] without a slow scan writes nothing at all but that it listed', async () => {
    const calls = new Map<string, number>()
    await using it = await rig({ slowScanBatch: 0 }, { memory: true })
    many(it, 50)
    await it.run()
    const { indexer } = await it.join(2, { state: counted(it.state, calls) })
    await indexer.start()
    await settle()
    calls.clear()
    await pass(it.clock, 600_000, 2000)
    await indexer.stop()
    expect(Object.fromEntries(calls)).toEqual({ note: 10 })
  })
})

describe('the clock', () => {
  it.each([3_600_000, -3_600_000])('[B20] [F49] stepping by %i ms doubles no claim and stalls nothing', async (step) => {
    await using it = await rig({}, { memory: true })
    const session = it.world.add('ses_a', ['one'])
    await it.indexer.start()
    await until(it.clock, () => it.sink.rows.size === 1, { ms: 2000 })
    it.clock.wall += step
    it.world.edit(session, (s) => Object.assign(s.messages[0] ?? {}, { text: 'edited', version: 2 }))
    it.world.add('ses_b', ['two'])
    await until(it.clock, () => JSON.stringify([...contentOf(it.sink)]) === JSON.stringify([...it.world.expected()]), { ms: 20_000 })
    expect(it.state.status().counters).toMatchObject({ takeovers: 0, failures: 0 })
    await it.indexer.stop()
  })

  it.each([3_600_000, -3_600_000])('[B20] stepping by %i ms delays no backoff by more than its longest', async (step) => {
    await using it = await rig({}, { memory: true })
    it.world.add('ses_a', ['one'])
    it.embedder.failure = new Error('once')
    await it.run()
    it.clock.wall += step
    it.embedder.failure = undefined
    await it.indexer.start()
    await until(it.clock, () => it.sink.rows.size === 1, { ms: 130_000 })
    expect(it.state.ledger(keyOf('ses_a')).size).toBe(1)
    await it.indexer.stop()
  })
})
