/** Claims, one beside the other, until nothing is runnable now. */
import { following } from '../../core/signals.js'
import type { Engine, IndexProgress } from '../engine.js'
import type { DrainReport } from '../indexer-types.js'
import { isIsolated } from '../isolate.js'
import { type ClaimOptions, runClaim } from '../run.js'
import { settleSpaces } from '../spaces.js'
import type { Claim, LaneName } from '../state/rows.js'

export interface DrainOptions {
  /** Ends what is under way; `engine.stopping` only says to begin nothing new. */
  readonly signal: AbortSignal
  /** @default no limit */
  readonly maxClaims?: number | undefined
  /** Only what the sink lacks of earlier runs: reads no session, embeds nothing. */
  readonly replayOnly?: boolean | undefined
  /** Resolves when something may have become runnable while others run. */
  readonly woken?: (() => Promise<void>) | undefined
}

/** What one drain did, whatever others do at the same time. */
type Tally = { -readonly [K in keyof DrainReport as DrainReport[K] extends number ? K : never]: number }

/** A drain also ends when all that is left waits for a time or for a service that is down. @throws StorageError what concerns every session */
export async function drainQueue(shared: Engine, options: DrainOptions): Promise<DrainReport> {
  const tally: Tally = { claims: 0, sessions: 0, messages: 0, documents: 0, deleted: 0, embedded: 0, cached: 0, replayed: 0, failed: 0, deferred: 0 }
  const progress = (event: IndexProgress): void => {
    if (event.kind === 'committed') addTo(tally, event)
    shared.progress(event)
  }
  // What concerns all ends the others as a stop does.
  const failed = new AbortController()
  using either = following(shared.stopping, failed.signal)
  const engine: Engine = { ...shared, progress, stopping: either.signal }
  await engine.state.sweep()
  if (options.replayOnly !== true) await noticeEmptySink(engine)
  await runAll(engine, options, tally, failed)
  if (options.replayOnly !== true && !engine.stopping.aborted) await settleSpaces(engine)
  return { ...tally, stopped: shared.stopping.aborted }
}

function addTo(tally: Tally, event: Extract<IndexProgress, { kind: 'committed' }>): void {
  tally.messages += event.messages
  tally.documents += event.documents
  tally.deleted += event.deleted
  tally.embedded += event.embedded
  tally.cached += event.cached
  tally.replayed += event.replayed ? 1 : 0
}

async function runAll(engine: Engine, options: DrainOptions, tally: Tally, failed: AbortController): Promise<void> {
  const { stopping } = engine
  const { maxClaims = Number.POSITIVE_INFINITY, woken } = options
  const most = atATime(engine, options)
  const running = new Set<Promise<void>>()
  const next = claimer(engine, options.replayOnly === true)
  /** What is worked on one message at a time is worked on alone. */
  let isolated = false
  let failure: { readonly error: unknown } | undefined
  const fail = (error: unknown): void => {
    failure ??= { error }
    failed.abort(error)
  }
  for (;;) {
    const free = !stopping.aborted && !isolated && running.size < most && tally.claims < maxClaims
    const alone = running.size === 0
    const claim = free ? await next(alone).catch(fail) : undefined
    if (claim) {
      tally.claims++
      isolated = isIsolated(claim)
      const others = [...running]
      const run = runOne(engine, claim, { ...options, alone: () => Promise.all(others) }, tally).catch(fail)
      running.add(run)
      void run.finally(() => {
        running.delete(run)
        if (running.size === 0) isolated = false
      })
      continue
    }
    if (running.size > 0) await Promise.race(woken !== undefined && free ? [...running, woken()] : running)
    // What ended while a claim was asked for may have left the next one.
    else if (alone || !free) break
  }
  if (failure !== undefined) throw failure.error
}

/** Records that are sent and nothing more: the steps of several share the flushes of the disk, and together they fit the budget of memory. */
const REPLAYS = 4

function atATime({ limits: { concurrency } }: Engine, { replayOnly = false }: DrainOptions): number {
  return replayOnly && concurrency > 1 ? Math.max(REPLAYS, concurrency) : concurrency
}

async function runOne(engine: Engine, claim: Claim, options: ClaimOptions, tally: Tally): Promise<void> {
  engine.failpoint('b')
  const end = await runClaim(engine, claim, options)
  engine.failpoint('i')
  if (end === 'done' || end === 'removed') tally.sessions++
  if (end === 'failed') tally.failed++
  if (end === 'deferred') tally.deferred++
}

/** Gives the next claim; looks at other owners' leases now and then, and before it says that there is none. */
function claimer(engine: Engine, replayOnly: boolean): (last: boolean) => Promise<Claim | undefined> {
  const { state, clock, limits, failpoint, walEnabled } = engine
  let sweptAt = clock.monotonic()
  return async (last) => {
    if (clock.monotonic() - sweptAt >= limits.sweepMs) {
      await state.sweep()
      sweptAt = clock.monotonic()
    }
    const lanes = replayOnly ? replayLanes(engine) : await usefulLanes(engine)
    if (lanes.length === 0) return undefined
    const request = { lanes, unlogged: !walEnabled }
    failpoint('a')
    const claim = await state.claim(request)
    if (claim !== undefined || !last || (await state.sweep()) === 0) return claim
    return state.claim(request)
  }
}

const NEW_WORK: readonly LaneName[] = ['fresh', 'retry', 'scan', 'backfill']

/** While a service is down, only what can do without it is claimed. */
export async function usefulLanes({ breakers, state, limits }: Engine): Promise<readonly LaneName[]> {
  const { sink, embedder } = breakers
  // While the sink is down, what is embedded waits for it in write-ahead records, up to a bound.
  const mayEmbed = embedder.retryInMs() === 0 && (sink.status().state === 'closed' || (await state.status()).wal.bytes < limits.maxWalBytes)
  const lanes: readonly LaneName[] = mayEmbed ? NEW_WORK : []
  return sink.retryInMs() === 0 ? ['replay', ...lanes] : lanes
}

function replayLanes({ breakers }: Engine): readonly LaneName[] {
  return breakers.sink.retryInMs() === 0 ? ['replay'] : []
}

/** A sink that was emptied behind the index is filled again, session by session. */
async function noticeEmptySink({ sink, state, breakers }: Engine): Promise<void> {
  if (breakers.sink.retryInMs() > 0 || (await state.status()).ledger.documents === 0) return
  let held: number
  try {
    held = await sink.count()
  } catch {
    // A sink that does not answer is for the sessions to report.
    return
  }
  if (held === 0) await state.verify()
}
