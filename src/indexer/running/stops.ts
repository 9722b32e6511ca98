/** How work is stopped: softly at first (nothing new is begun, what is paid for is kept), then for good. */
import type { Clock } from '../../core/clock.js'
import { StorageError } from '../../core/errors.js'
import { following } from '../../core/signals.js'

export interface Stops {
  /** Runs the work until it ends. Its soft signal is aborted by `signal`, a stop or a closing; the hard one so many milliseconds later. */
  run<T>(signal: AbortSignal | undefined, work: (soft: AbortSignal, hard: AbortSignal) => Promise<T>): Promise<T>
  /** Stops what runs and waits for it; what is asked for afterwards runs again. */
  stop(): Promise<void>
  /** The stop that is under way. */
  ending(): Promise<void> | undefined
  /** As `stop`, and nothing runs any more. */
  close(): Promise<void>
}

export function createStops(clock: Clock, drainMs: number, outer: AbortSignal | undefined): Stops {
  const running = new Set<Promise<unknown>>()
  let closed = false
  let stopping = new AbortController()
  const end = async (): Promise<void> => {
    const ended = stopping
    ended.abort(new StorageError('STATE_UNAVAILABLE', { reason: 'the indexer was stopped' }))
    await Promise.allSettled(running)
    // Of two stops the first may be over long before the second, and something may run again.
    if (!closed && stopping === ended) stopping = new AbortController()
  }
  let ending: Promise<void> | undefined
  const stop = async (): Promise<void> => {
    const own = end()
    ending = own
    await own
    if (ending === own) ending = undefined
  }
  return {
    async run(signal, work) {
      if (closed || outer?.aborted) throw new StorageError('STATE_UNAVAILABLE', { reason: 'the indexer is closed' })
      using any = following(signal, outer, stopping.signal)
      const soft = any.signal
      const promise = underHard(soft, (hard) => work(soft, hard))
      running.add(promise)
      try {
        return await promise
      } finally {
        running.delete(promise)
      }
    },
    stop,
    ending: () => ending,
    close() {
      closed = true
      return stop()
    },
  }

  async function underHard<T>(soft: AbortSignal, work: (hard: AbortSignal) => Promise<T>): Promise<T> {
    const hard = new AbortController()
    const ended = new AbortController()
    const follow = (): void => {
      clock.sleep(drainMs, ended.signal).then(
        () => hard.abort(soft.reason),
        () => undefined,
      )
    }
    if (soft.aborted) follow()
    else soft.addEventListener('abort', follow, { once: true })
    try {
      return await work(hard.signal)
    } finally {
      soft.removeEventListener('abort', follow)
      ended.abort()
    }
  }
}
