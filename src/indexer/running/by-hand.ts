/** What is asked of an indexer for single sessions, records and letters, beside its running. */
import { StorageError } from '../../core/errors.js'
import { isSafeId } from '../../core/ids.js'
import { isAgent, type SessionKey } from '../../core/keys.js'
import { checkBoolean, checkWhole, refuseUnknown } from '../../core/options.js'
import { forgetSessions } from '../forget.js'
import type { Indexer } from '../indexer-types.js'
import { learnParents } from '../observe.js'
import type { SharedEngine } from '../options.js'
import { pages } from '../records.js'
import { PAGE } from '../remove.js'
import { verifyIndex } from '../verify/verify-index.js'
import type { Background, Run } from './background.js'
import { drainQueue } from './drain.js'
import { walStatusOf } from './wal-status.js'

type ByHand = Pick<Indexer, 'enqueue' | 'resetSession' | 'walStatus' | 'walRecover' | 'deadLetters' | 'retry' | 'drop' | 'verify' | 'forget'>

export function byHand({ state, clock, limits }: SharedEngine, run: Run, background: Background, observe: Indexer['observe']): ByHand {
  /** What it queued is begun at once where the loop runs. */
  const queue = async (work: () => Promise<number>): Promise<number> => {
    const queued = await run(undefined, work)
    if (queued > 0) background.wake()
    return queued
  }
  return {
    async enqueue(session) {
      checkKey(session)
      const wake = async (): Promise<boolean> => (await queue(() => state.wake([session], 'fresh'))) > 0
      if (await wake()) return true
      await observe()
      return wake()
    },
    async resetSession(session) {
      checkKey(session)
      return (await queue(() => state.reset([session]))) > 0
    },
    walStatus: () => walStatusOf(state, clock),
    async walRecover(given = {}) {
      refuseUnknown(given, ['limit', 'signal'])
      checkWhole('limit', given.limit, 1)
      const { limit = limits.walRecoverLimit, signal } = given
      const report = await run(signal, async (engine, hard) => {
        await learnParents(engine, engine.stopping)
        // Whoever asks knows better than a backoff that the sink is there again.
        const keys = (await state.pending()).map(({ key }) => key)
        for (const page of pages(keys, PAGE)) await state.wake(page, 'replay')
        return drainQueue(engine, { signal: hard, maxClaims: limit, replayOnly: true })
      })
      return { records: report.replayed, documents: report.documents }
    },
    deadLetters: async () => state.deadLetters(),
    retry: (ids) => queue(() => state.retryDead(ids)),
    drop: (ids) => run(undefined, () => state.dropDead(ids)),
    async verify(given = {}) {
      refuseUnknown(given, ['sessions', 'repair', 'signal'])
      checkBoolean('repair', given.repair)
      return run(given.signal, (engine, hard) => verifyIndex(engine, hard, given))
    },
    forget: (keys, signal) => run(signal, (engine) => forgetSessions(engine, keys, engine.stopping)),
  }
}

/** For callers without types. @throws StorageError INVALID_OPTION */
function checkKey(key: SessionKey): void {
  const { agent, session } = Object(key) as Partial<Record<keyof SessionKey, unknown>>
  if (isAgent(agent) && isSafeId(session)) return
  throw new StorageError('INVALID_OPTION', { reason: "a session is named by its key, such as the `key` of a session's meta" })
}
