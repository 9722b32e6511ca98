/** The circuit breaker, on a clock that only the test moves. */
import { describe, expect, it } from 'vitest'
import { StorageError } from '../../src/core/errors.js'
import { createBreaker } from '../../src/indexer/breaker.js'
import { faultOf } from '../../src/indexer/faults.js'
import type { BreakerStatus } from '../../src/indexer/state/status.js'
import { fakeClock, START } from '../support/index-world.js'

const DOWN = new StorageError('EMBEDDER_UNAVAILABLE', { reason: 'nobody there' })
const TEXT = new StorageError('TEXT_REFUSED', { reason: 'this text' })

function setUp() {
  const clock = fakeClock()
  const told: BreakerStatus[] = []
  const breaker = createBreaker({
    service: 'embedder',
    clock,
    isDown: (error) => faultOf(error) === 'service',
    onChange: (status) => told.push(status),
  })
  let calls = 0
  const run = (outcome: unknown = 'fine') =>
    breaker.run(async () => {
      calls++
      if (outcome instanceof Error) throw outcome
      return outcome
    })
  return { clock, told, breaker, run, fails: () => run(DOWN).catch((error: unknown) => error), calls: () => calls }
}

/** A call that ends when the test says so. */
function held() {
  let resolve = (): void => undefined
  let reject = (_: unknown): void => undefined
  const promise = new Promise<void>((ok, not) => {
    resolve = ok
    reject = not
  })
  return { call: () => promise, resolve, reject }
}

describe('the breaker', () => {
  it('lets calls through while the service answers, whatever the texts do', async () => {
    const it = setUp()
    expect(await it.run()).toBe('fine')
    await expect(it.run(TEXT)).rejects.toBe(TEXT)
    expect([it.breaker.retryInMs(), it.breaker.status().state, it.told]).toEqual([0, 'closed', []])
  })

  it('opens at a failure of the service and says so to all others at once', async () => {
    const it = setUp()
    await it.fails()
    await expect(it.run()).rejects.toBe(DOWN)
    expect(it.calls()).toBe(1)
    expect(it.breaker.retryInMs()).toBe(1000)
    const failure = { code: 'EMBEDDER_UNAVAILABLE', reason: 'nobody there' }
    const open = { service: 'embedder', state: 'open', failure, since: START, retryAt: START + 1000 }
    expect(it.breaker.status()).toEqual(open)
    expect(it.told).toEqual([open])
  })

  it('waits twice as long each time, 8 seconds at most, and begins anew once it was closed', async () => {
    const it = setUp()
    const waits: number[] = []
    for (let i = 0; i < 6; i++) {
      await it.fails()
      waits.push(it.breaker.retryInMs())
      it.clock.advance(it.breaker.retryInMs())
      expect(it.breaker.retryInMs()).toBe(0)
    }
    expect(waits).toEqual([1000, 2000, 4000, 8000, 8000, 8000])
    expect(it.calls()).toBe(6)
    await it.run()
    await it.fails()
    expect(it.breaker.retryInMs()).toBe(1000)
    expect(it.told.map(({ state }) => state).slice(-3)).toEqual(['half-open', 'closed', 'open'])
  })

  it('lets one call through to probe; the others get the stored failure', async () => {
    const it = setUp()
    await it.fails()
    it.clock.advance(1000)
    const probe = held()
    const probing = it.breaker.run(probe.call)
    expect(it.breaker.status()).toMatchObject({ state: 'half-open', retryAt: undefined })
    await expect(it.run()).rejects.toBe(DOWN)
    expect(it.breaker.retryInMs()).toBe(1000)
    expect(it.calls()).toBe(1)
    probe.resolve()
    await probing
    expect(it.breaker.status()).toMatchObject({ state: 'closed', failure: undefined })
    expect(await it.run()).toBe('fine')
  })

  it('takes a text that is refused for a service that answers', async () => {
    const it = setUp()
    await it.fails()
    it.clock.advance(1000)
    await expect(it.run(TEXT)).rejects.toBe(TEXT)
    expect(it.breaker.status().state).toBe('closed')
  })

  it('learns nothing from a call that its caller ended: the next one probes', async () => {
    const it = setUp()
    await it.fails()
    it.clock.advance(1000)
    const stop = new AbortController()
    const probe = held()
    const probing = it.breaker.run(probe.call, stop.signal)
    stop.abort()
    probe.reject(DOWN)
    await expect(probing).rejects.toBe(DOWN)
    expect(it.breaker.status().state).toBe('open')
    expect(it.breaker.retryInMs()).toBe(0)
    await it.fails()
    expect(it.breaker.retryInMs()).toBe(2000)
  })

  it('counts failures that come together once', async () => {
    const it = setUp()
    const calls = [held(), held(), held()]
    const running = calls.map(({ call }) => it.breaker.run(call).catch((error: unknown) => error))
    for (const { reject } of calls) reject(DOWN)
    await Promise.all(running)
    expect(it.breaker.retryInMs()).toBe(1000)
    expect(it.told).toHaveLength(1)
  })

  it('lets a call that began earlier neither close nor reopen it', async () => {
    const it = setUp()
    const [early, later] = [held(), held()]
    const first = it.breaker.run(early.call)
    const second = it.breaker.run(later.call).catch((error: unknown) => error)
    await it.fails()
    early.resolve()
    await first
    expect(it.breaker.status().state).toBe('open')
    it.clock.advance(1000)
    await it.run()
    later.reject(DOWN)
    await second
    expect(it.breaker.status().state).toBe('closed')
  })

  it('goes by the monotonic clock', async () => {
    const it = setUp()
    await it.fails()
    it.clock.wall -= 3_600_000
    expect(it.breaker.retryInMs()).toBe(1000)
    it.clock.advance(1000)
    expect(await it.run()).toBe('fine')
  })
})
