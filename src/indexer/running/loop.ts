/**
 * What `start` begins: one task looks for work at every poll, the other does it until nothing is left, then sleeps until the next of
 * a queued session's time, a service's retry, and a wake-up. A long drain holds up no listing, and a listing that fails no drain.
 */
import type { Clock } from '../../core/clock.js'
import { StorageError } from '../../core/errors.js'
import { following } from '../../core/signals.js'
import { backoffMs, type Engine } from '../engine.js'
import { failureOf } from '../faults.js'
import type { DrainReport } from '../indexer-types.js'
import { concernsAll } from '../run.js'
import type { Failure } from '../state/rows.js'
import { usefulLanes } from './drain.js'

export interface LoopSteps {
  /** Lists, when that is due, and takes a step of the slow scan. Throws only what concerns the state. */
  poll(engine: Engine): Promise<void>
  drain(engine: Engine, woken: () => Promise<void>): Promise<DrainReport>
}

export interface Loop {
  /** Resolves when the first poll is over, however it ended. */
  readonly polled: Promise<void>
  /** Resolves when both tasks are over; never rejects. */
  readonly ended: Promise<void>
  /** Why it stumbled last, until it ran through again. */
  failure(): Failure | undefined
  /** Something may have become runnable. */
  wake(): void
}

export function startLoop(engine: Engine, steps: LoopSteps): Loop {
  const { clock, limits, stopping } = engine
  const bell = createBell(clock)
  const stumbled = new Map<string, Failure>()
  const ended = new AbortController()
  const over = AbortSignal.any([stopping, ended.signal])
  const running: Engine = { ...engine, stopping: over }

  /** Again and again, with a growing pause after a failure, until the loop is stopped or the failure is one that no time mends. */
  const persist = async (name: string, step: () => Promise<void>): Promise<void> => {
    let failures = 0
    while (!over.aborted) {
      try {
        await step()
        failures = 0
        stumbled.delete(name)
      } catch (error) {
        if (over.aborted) return
        const failure = failureOf(error)
        stumbled.set(name, failure)
        engine.progress({ kind: 'error', during: 'loop', failure, error })
        if (isFinal(error)) return ended.abort(error)
        await clock.sleep(backoffMs(failures++, engine.random, limits), over).catch(() => undefined)
      }
    }
  }

  let first = (): void => undefined
  const polled = new Promise<void>((resolve) => {
    first = resolve
  })
  const polling = persist('poll', async () => {
    try {
      await steps.poll(running)
    } finally {
      first()
    }
    bell.ring()
    await clock.sleep(limits.pollMs, over).catch(() => undefined)
  })
  let fresh = true
  const draining = persist('drain', async () => {
    await engine.state.sweep()
    const wait = fresh ? 0 : await dueInMs(running)
    if (wait > 0) return bell.wait(Math.min(wait, limits.sweepMs), over)
    const { claims } = await steps.drain(running, () => bell.wait(limits.sweepMs, over))
    // Another process may have been faster, or may not have come to it yet.
    if (claims === 0 && !fresh) await bell.wait(limits.sweepMs, over)
    fresh = false
  })
  const both = Promise.all([polling, draining]).then(first)
  return { polled, ended: both, failure: () => [...stumbled.values()][0], wake: bell.ring }
}

/** 0: something is runnable now. */
async function dueInMs(engine: Engine): Promise<number> {
  const lanes = await usefulLanes(engine)
  const at = lanes.length === 0 ? undefined : await engine.state.nextRunAt(lanes)
  return at === undefined ? Number.POSITIVE_INFINITY : Math.max(0, at - engine.clock.now())
}

/** What only another configuration, model or version mends. A state that cannot be used may be mended beside us. */
function isFinal(error: unknown): boolean {
  return concernsAll(error) && error instanceof StorageError && !error.code.startsWith('STATE_') && error.code !== 'EXCLUSIONS_DAMAGED'
}

interface Bell {
  ring(): void
  /** Ends with the next ring, with the time, or with the signal; never rejects. */
  wait(ms: number, signal: AbortSignal): Promise<void>
}

/** A ring that nobody waits for is kept for the next who does. */
function createBell(clock: Clock): Bell {
  let rung = false
  const waiting = new Set<AbortController>()
  return {
    ring() {
      rung = true
      for (const one of waiting) one.abort()
    },
    async wait(ms, signal) {
      if (rung) {
        rung = false
        return
      }
      const heard = new AbortController()
      waiting.add(heard)
      using either = following(heard.signal, signal)
      await clock.sleep(ms, either.signal).catch(() => undefined)
      waiting.delete(heard)
      if (heard.signal.aborted) rung = false
    },
  }
}
