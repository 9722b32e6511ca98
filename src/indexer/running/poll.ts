/** A look for work: the sessions are listed, when that is due, and the slow scan takes a step. */
import type { Engine } from '../engine.js'
import { failureOf } from '../faults.js'
import type { TickReport } from '../indexer-types.js'
import { observeAll } from '../observe.js'
import { concernsAll } from '../run.js'

export type PollReport = Pick<TickReport, 'observed' | 'listFailure' | 'scanned'>
export type Poll = (engine: Engine) => Promise<PollReport>

/** What is noted of a listing that shows nothing new, so that others can tell that somebody looks. */
const NOTE_MS = 60_000

/** Listings that are left out in a row while the stores say that nothing was written: stores may appear elsewhere, and sessions fall due again. */
const LEFT_OUT = 20

export function createPoll(): Poll {
  let listedAt = Number.NEGATIVE_INFINITY
  let shown = { at: Number.NEGATIVE_INFINITY, stamp: undefined as string | undefined }
  let noted = { at: Number.NEGATIVE_INFINITY, sessions: -1, elsewhere: 0 }

  const list = async (engine: Engine): Promise<Omit<PollReport, 'scanned'>> => {
    const { clock, state } = engine
    if (clock.monotonic() - listedAt < engine.limits.listRefreshMs) return { observed: undefined, listFailure: undefined }
    listedAt = clock.monotonic()
    try {
      const stamp = await stampOf(engine)
      if (stamp !== undefined && stamp === shown.stamp && listedAt - shown.at < LEFT_OUT * engine.limits.listRefreshMs) {
        return { observed: undefined, listFailure: undefined }
      }
      const observed = await observeAll(engine, engine.stopping)
      shown = { at: listedAt, stamp: observed.complete ? stamp : undefined }
      const { sessions, elsewhere } = observed
      if (sessions !== noted.sessions || elsewhere !== noted.elsewhere || listedAt - noted.at >= NOTE_MS) {
        noted = { at: listedAt, sessions, elsewhere }
        await state.note({ kind: 'listing', at: clock.now(), sessions, elsewhere })
      }
      return { observed, listFailure: undefined }
    } catch (error) {
      if (concernsAll(error) || engine.stopping.aborted) throw error
      const failure = failureOf(error)
      engine.progress({ kind: 'error', during: 'listing', failure, error })
      return { observed: undefined, listFailure: failure }
    }
  }
  return async (engine) => {
    const { slowScanBatch: limit, slowScanIntervalMs: minAgeMs } = engine.limits
    const listed = await list(engine)
    const scanned = limit === 0 || engine.stopping.aborted ? 0 : await engine.state.slowScan({ limit, minAgeMs })
    return { ...listed, scanned }
  }
}

/** What a listing and its observation depend on, taken before both; undefined where it cannot be told. */
async function stampOf({ sessions, exclude }: Engine): Promise<string | undefined> {
  const stamp = await sessions.stamp?.()
  return stamp === undefined ? undefined : `${stamp}\n${JSON.stringify(exclude())}`
}
