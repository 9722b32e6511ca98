/** The first line of `status`: whether the index itself is alive, whatever its process says. */
import { describe, expect, it } from 'vitest'
import { healthOf, STUCK_MS } from '../../src/cli/health.js'
import { EMPTY } from '../../src/cli/status.js'
import { statusText } from '../../src/cli/status-text.js'
import { type IndexStatus, resolveConfig } from '../../src/indexer/index.js'

const NOW = 1_800_000_000_000
const MINUTE = 60_000
const status = (given: Partial<IndexStatus>): IndexStatus => ({ ...EMPTY, listing: { at: NOW - 12_000, sessions: 28 }, ...given })
const pending = (given: Partial<IndexStatus> = {}): IndexStatus =>
  status({ queue: { ready: 3, leased: 0, backoff: 0 }, oldestPendingAgeMs: 5000, running: [{ pid: 7, since: NOW - MINUTE }], ...given })
const breaker = (since: number): IndexStatus['breakers'][number] => ({
  service: 'sink',
  state: 'open',
  failure: { code: 'SINK_UNAVAILABLE', reason: 'Chroma does not answer' },
  since,
  retryAt: NOW + 4000,
})
const lastError = (at: number): IndexStatus['lastError'] => ({ code: 'EMBEDDER_FAILED', reason: 'the embedder failed', at, key: undefined })
/** Its session has gone, or works again. */
const over = (error: IndexStatus['lastError']): IndexStatus['lastError'] => error && { ...error, over: true }
/** One session whose last message is not finished: it waits in the lane of those that failed. */
const unfinished = (): Partial<IndexStatus> => ({
  queue: { ready: 0, leased: 0, backoff: 1 },
  lanes: [{ lane: 'retry', ready: 0, waiting: 1, oldestAgeMs: 5 }],
})
const textOf = (given: IndexStatus): string =>
  statusText({ health: healthOf(given, NOW), status: given, config: resolveConfig({}), sink: 'local' }, NOW)

describe('the health of the index', () => {
  it.each<readonly [string, IndexStatus, RegExp]>([
    ['empty', EMPTY, /nothing is indexed yet/],
    ['idle', status({}), /everything that was listed is indexed.*listed 12 s ago/],
    ['idle', status({ dead: 2 }), /2 texts or records put aside/],
    ['working', pending(), /3 sessions pending, the oldest for 5 s/],
    ['working', pending({ oldestPendingAgeMs: 9 * STUCK_MS, lastUpsertAt: NOW - 1000 }), /3 sessions/],
    ['stuck', pending({ oldestPendingAgeMs: 2 * STUCK_MS, lastUpsertAt: NOW - 2 * STUCK_MS }), /the sink last took something 30 min ago/],
    ['stuck', pending({ oldestPendingAgeMs: 2 * STUCK_MS }), /the sink never took anything/],
    ['waiting', pending({ breakers: [breaker(NOW - MINUTE)] }), /the sink is down since 1 min \(SINK_UNAVAILABLE: Chroma does not answer\)/],
    ['stuck', pending({ breakers: [breaker(NOW - 2 * STUCK_MS)] }), /the sink is down since 30 min/],
    ['unattended', pending({ running: [] }), /no process works on them \(spanleaf index\)/],
    ['unattended', pending({ running: [], breakers: [breaker(NOW)] }), /the last failure was SINK_UNAVAILABLE/],
    ['waiting', pending({ queue: { ready: 0, leased: 0, backoff: 1 } }), /1 session pending.*still being written/],
    [
      'failing',
      pending({
        queue: { ready: 0, leased: 0, backoff: 1 },
        lanes: [{ lane: 'retry', ready: 0, waiting: 1, oldestAgeMs: 5 }],
        lastError: lastError(NOW),
      }),
      /the last failure was EMBEDDER_FAILED: the embedder failed, just now/,
    ],
    ['waiting', pending(unfinished()), /1 session pending.*still being written/],
    ['waiting', pending({ ...unfinished(), lastError: lastError(NOW - 2 * STUCK_MS) }), /still being written/],
    ['waiting', pending({ ...unfinished(), lastError: over(lastError(NOW)) }), /still being written/],
  ])('%s', (state, given, reason) => {
    const health = healthOf(given, NOW)
    expect(health).toMatchObject({ state, reason: expect.stringMatching(reason) })
    const text = statusText({ health, status: given, config: resolveConfig({}), sink: 'local' }, NOW)
    expect(text.startsWith(`${state}: `)).toBe(true)
    expect(text).not.toMatch(/undefined|NaN|null/)
  })

  it('a process that holds a lease works, also when none has the index running', () => {
    const key = { kind: 'session', agent: 'opencode', session: 'ses_1' } as unknown as IndexStatus['leases'][number]['key']
    const lease = { key, pid: 9, ageMs: 3000, expiresInMs: 5000, abandoned: false }
    expect(healthOf(pending({ running: [], leases: [lease] }), NOW).state).toBe('working')
    expect(healthOf(pending({ running: [], leases: [{ ...lease, expiresInMs: -1 }] }), NOW).state).toBe('unattended')
    const killed = pending({ running: [], leases: [{ ...lease, abandoned: true }] })
    expect(healthOf(killed, NOW).state).toBe('unattended')
    expect(textOf(killed)).toContain('ses_1 by process 9, which has died')
  })
})

describe('the lines below it', () => {
  it('tell how many texts the model cut', () => {
    const status = { ...EMPTY, counters: { ...EMPTY.counters, embedded: 5, truncated: 2 } }
    const text = statusText({ health: healthOf(status, NOW), status, config: resolveConfig({}), sink: 'local' }, NOW)
    expect(text).toContain('5 texts; 0 more came from the cache (0 %); 2 texts cut at the context of the model')
  })

  it('tell what is left out, and what was not looked at', () => {
    const status = { ...EMPTY, leftOut: 2, listing: { at: NOW - 12_000, sessions: 28, elsewhere: 3 } }
    const text = textOf(status)
    expect(text).toContain('28 sessions, 12 s ago; 3 indexed sessions of stores that were not looked at stay as they are')
    expect(text).toContain('2 messages left out, whose ids are too long for the index')
    expect(textOf(EMPTY)).not.toContain('left out')
  })

  it('name the settings that were chosen, and no secret', () => {
    const config = resolveConfig({ flags: { embedder: 'ollama' }, env: { chromaToken: 'hunter2' }, file: { batchSize: 8 } })
    const text = statusText({ health: healthOf(EMPTY, NOW), status: EMPTY, config, sink: 'local' }, NOW)
    expect(text).toContain('embedder=ollama (flag), chromaToken=(set) (environment), batchSize=8 (file)')
    expect(text).not.toContain('hunter2')
  })
})
