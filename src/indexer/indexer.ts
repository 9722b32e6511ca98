/** The indexer: observes the sessions, and brings the sink to what they say, claim by claim. */
import { StorageError } from '../core/errors.js'
import { isSafeId } from '../core/ids.js'
import { isAgent, type SessionKey } from '../core/keys.js'
import { checkNumber, refuseUnknown } from '../core/options.js'
import { drainQueue } from './drain.js'
import type { Engine } from './engine.js'
import { createEvents } from './events.js'
import { forgetSessions } from './forget.js'
import type { Indexer, IndexerOptions } from './indexer-types.js'
import { type Loop, startLoop } from './loop.js'
import { observeAll } from './observe.js'
import { checkPorts, sharedEngine } from './options.js'
import { createPoll } from './poll.js'
import { bindSpace } from './spaces.js'
import type { Failure } from './state-rows.js'
import { createStops } from './stops.js'
import { drained, runTick } from './tick.js'
import { createTurn } from './turn.js'
import { verifyIndex } from './verify-index.js'
import { walStatusOf } from './wal-status.js'

/** Work under a soft stop, `engine.stopping`, and a hard one. */
type Run = <T>(signal: AbortSignal | undefined, work: (engine: Engine, hard: AbortSignal) => Promise<T>) => Promise<T>

/** The caller keeps what it passed in; disposing the indexer stops its work and waits for it. @throws StorageError INVALID_OPTION */
export function createIndexer(options: IndexerOptions): Indexer {
  checkPorts(options)
  const events = createEvents(options.onProgress)
  const shared = sharedEngine(options, events.emit)
  const { state, clock, limits, breakers } = shared
  const stops = createStops(clock, limits.drainMs, options.signal)
  const poll = createPoll()
  const bind = untilItWorks(() => bindSpace(shared, options.rebuild === true))
  const run: Run = (signal, work) =>
    stops.run(signal, async (soft, hard) => {
      await bind()
      return work({ ...shared, stopping: soft }, hard)
    })
  const background = inBackground(run, (engine, hard) =>
    startLoop(engine, {
      poll: async (inner) => void (await poll(inner)),
      drain: (inner, woken) => drained(inner, { signal: hard, woken }),
    }),
  )
  /** What it queued is begun at once where the loop runs. */
  const queue = async (work: () => Promise<number>): Promise<number> => {
    const queued = await run(undefined, work)
    if (queued > 0) background.wake()
    return queued
  }
  const observe: Indexer['observe'] = async (signal) => {
    const report = await run(signal, async (engine) => {
      const observed = await observeAll(engine, engine.stopping)
      await state.note({ kind: 'listing', at: clock.now(), sessions: observed.sessions })
      return observed
    })
    background.wake()
    return report
  }
  const ticking = createTurn()

  return {
    observe,
    drain: (signal) => run(signal, (engine, hard) => drainQueue(engine, { signal: hard })),
    async tick(given = {}) {
      refuseUnknown(given, ['maxSessions', 'signal'])
      checkNumber('maxSessions', given.maxSessions, 1)
      const { maxSessions = limits.sessionsPerTick, signal } = given
      return run(signal, (engine, hard) => ticking(() => runTick(engine, poll, { signal: hard, maxSessions }), engine.stopping))
    },
    start: () => background.start(),
    stop: () => stops.stop(),
    async enqueue(session) {
      checkKey(session)
      if ((await queue(() => state.wake([session], 'fresh'))) > 0) return true
      await observe()
      return (await queue(() => state.wake([session], 'fresh'))) > 0
    },
    async resetSession(session) {
      checkKey(session)
      return (await queue(() => state.reset([session]))) > 0
    },
    status: () => ({
      ...state.status(),
      started: background.isRunning(),
      failure: background.failure(),
      services: [breakers.embedder.status(), breakers.sink.status()],
      space: shared.embedder.space,
      cache: shared.cache?.stats(),
    }),
    walStatus: () => walStatusOf(state, clock),
    async walRecover(given = {}) {
      refuseUnknown(given, ['limit', 'signal'])
      checkNumber('limit', given.limit, 1)
      const { limit = limits.walRecoverLimit, signal } = given
      const report = await run(signal, (engine, hard) => drainQueue(engine, { signal: hard, maxClaims: limit, replayOnly: true }))
      return { records: report.replayed, documents: report.documents }
    },
    deadLetters: () => state.deadLetters(),
    retry: (ids) => queue(() => state.retryDead(ids)),
    drop: (ids) => run(undefined, () => state.dropDead(ids)),
    verify: (given = {}) => run(given.signal, (engine, hard) => verifyIndex(engine, hard, given)),
    forget: (keys, signal) => run(signal, (engine) => forgetSessions(engine, keys, engine.stopping)),
    on: events.on,
    [Symbol.asyncDispose]: () => stops.close(),
  }
}

interface Background {
  start(): Promise<void>
  isRunning(): boolean
  failure(): Failure | undefined
  wake(): void
}

/** The loop counts as one piece of work, so whatever stops that stops it. */
function inBackground(run: Run, begin: (engine: Engine, hard: AbortSignal) => Loop): Background {
  let starting: Promise<Loop> | undefined
  let loop: Loop | undefined
  const started = (): Promise<Loop> =>
    new Promise((resolve, reject) => {
      run(undefined, async (engine, hard) => {
        await engine.state.running(true)
        try {
          loop = begin(engine, hard)
          resolve(loop)
          await loop.ended
        } finally {
          starting = undefined
          await engine.state.running(false)
        }
      }).catch((error: unknown) => {
        starting = undefined
        reject(error)
      })
    })
  return {
    async start() {
      starting ??= started()
      await (await starting).polled
    },
    isRunning: () => starting !== undefined,
    failure: () => loop?.failure(),
    wake: () => loop?.wake(),
  }
}

/** Once it has worked, it is not done again. */
function untilItWorks(work: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | undefined
  return () => {
    done ??= work().catch((error: unknown) => {
      done = undefined
      throw error
    })
    return done
  }
}

/** For callers without types. @throws StorageError INVALID_OPTION */
function checkKey(key: SessionKey): void {
  const { agent, session } = Object(key) as Partial<Record<keyof SessionKey, unknown>>
  if (isAgent(agent) && isSafeId(session)) return
  throw new StorageError('INVALID_OPTION', { reason: "a session is named by its key, such as the `key` of a session's meta" })
}
