/** The loop as one piece of work of the indexer, so that whatever stops that stops it. */
import type { Engine } from '../engine.js'
import type { Failure } from '../state/rows.js'
import { type Loop, startLoop } from './loop.js'
import type { Poll } from './poll.js'
import { drained } from './tick.js'

/** Work under a soft stop, `engine.stopping`, and a hard one. */
export type Run = <T>(signal: AbortSignal | undefined, work: (engine: Engine, hard: AbortSignal) => Promise<T>) => Promise<T>

export interface Background {
  /** Resolves after the first poll. Safe to call twice. */
  start(): Promise<void>
  isRunning(): boolean
  failure(): Failure | undefined
  wake(): void
}

export function inBackground(run: Run, poll: Poll): Background {
  let starting: Promise<Loop> | undefined
  let loop: Loop | undefined
  const begin = (engine: Engine, hard: AbortSignal): Loop =>
    startLoop(engine, {
      poll: async (inner) => void (await poll(inner)),
      drain: (inner, woken) => drained(inner, { signal: hard, woken }),
    })
  const started = (): Promise<Loop> =>
    new Promise((resolve, reject) => {
      const work = run(undefined, async (engine, hard) => {
        await engine.state.running(true)
        try {
          loop = begin(engine, hard)
          resolve(loop)
          await loop.ended
        } finally {
          starting = undefined
          await engine.state.running(false)
        }
      })
      work.catch((error: unknown) => {
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
