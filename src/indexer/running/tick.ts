/** One tick: a look for work, the records that earlier runs left, and a bounded number of sessions. */

import type { Engine } from '../engine.js'
import type { DrainReport, TickReport } from '../indexer-types.js'
import { type DrainOptions, drainQueue } from './drain.js'
import type { Poll } from './poll.js'

export async function runTick(
  engine: Engine,
  poll: Poll,
  { signal, maxSessions }: { readonly signal: AbortSignal; readonly maxSessions: number },
): Promise<TickReport> {
  const began = engine.clock.monotonic()
  const polled = await poll(engine)
  const records =
    (await engine.state.nextRunAt(['replay'])) === undefined
      ? undefined
      : await drained(engine, { signal, maxClaims: engine.limits.walRecoverLimit, replayOnly: true })
  const sessions = await drained(engine, { signal, maxClaims: maxSessions })
  return { ...polled, ...(records === undefined ? sessions : sumOf(records, sessions)), durationMs: engine.clock.monotonic() - began }
}

/** A drain, noted where it did something. */
export async function drained(engine: Engine, options: DrainOptions): Promise<DrainReport> {
  const { clock, state } = engine
  const began = clock.monotonic()
  const report = await drainQueue(engine, options)
  const { claims, messages } = report
  if (claims > 0) await state.note({ kind: 'tick', tick: { at: clock.now(), durationMs: clock.monotonic() - began, sessions: claims, messages } })
  return report
}

function sumOf(a: DrainReport, b: DrainReport): DrainReport {
  return {
    claims: a.claims + b.claims,
    sessions: a.sessions + b.sessions,
    messages: a.messages + b.messages,
    documents: a.documents + b.documents,
    deleted: a.deleted + b.deleted,
    embedded: a.embedded + b.embedded,
    cached: a.cached + b.cached,
    replayed: a.replayed + b.replayed,
    failed: a.failed + b.failed,
    deferred: a.deferred + b.deferred,
    stopped: b.stopped,
  }
}
