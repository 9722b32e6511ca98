/** The indexer: observes the sessions, and brings the sink to what they say, claim by claim. */
import { checkSignal, checkWhole, refuseUnknown } from '../core/options.js'
import { createTurn } from './embedding/turn.js'
import type { Indexer, IndexerOptions } from './indexer-types.js'
import { observeAll } from './observe.js'
import { checkOptions, sharedEngine } from './options.js'
import { inBackground, type Run } from './running/background.js'
import { byHand } from './running/by-hand.js'
import { drainQueue } from './running/drain.js'
import { createEvents } from './running/events.js'
import { createPoll } from './running/poll.js'
import { createStops } from './running/stops.js'
import { runTick } from './running/tick.js'
import { bindSpace } from './spaces.js'

/** The caller keeps what it passed in; disposing the indexer stops its work and waits for it. @throws StorageError INVALID_OPTION */
export function createIndexer(options: IndexerOptions): Indexer {
  checkOptions(options)
  const events = createEvents(options.onProgress)
  const shared = sharedEngine(options, events.emit)
  const { state, clock, limits, breakers, embedder, cache } = shared
  const stops = createStops(clock, limits.drainMs, options.signal)
  const bind = untilItWorks(() => bindSpace(shared, options.rebuild === true))
  const run: Run = async (signal, work) => {
    checkSignal('signal', signal)
    return stops.run(signal, async (soft, hard) => {
      await bind()
      return work({ ...shared, stopping: soft }, hard)
    })
  }
  const poll = createPoll()
  const ticking = createTurn()
  const background = inBackground(run, poll)
  const observe: Indexer['observe'] = async (signal) => {
    const report = await run(signal, (engine) => observeAll(engine, engine.stopping))
    await state.note({ kind: 'listing', at: clock.now(), sessions: report.sessions, elsewhere: report.elsewhere })
    background.wake()
    return report
  }
  return {
    observe,
    drain: (signal) => run(signal, (engine, hard) => drainQueue(engine, { signal: hard })),
    async tick(given = {}) {
      refuseUnknown(given, ['maxSessions', 'signal'])
      checkWhole('maxSessions', given.maxSessions, 1)
      const { maxSessions = limits.sessionsPerTick, signal } = given
      return run(signal, (engine, hard) => ticking(() => runTick(engine, poll, { signal: hard, maxSessions }), engine.stopping))
    },
    async start() {
      // A loop that is being stopped is none that runs.
      if (background.isRunning()) await stops.ending()
      await background.start()
    },
    stop: () => stops.stop(),
    status: async () => ({
      ...(await state.status()),
      started: background.isRunning(),
      failure: background.failure(),
      services: [breakers.embedder.status(), breakers.sink.status()],
      space: embedder.space,
      cache: cache?.stats(),
    }),
    ...byHand(shared, run, background, observe),
    on: events.on,
    [Symbol.asyncDispose]: () => stops.close(),
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
