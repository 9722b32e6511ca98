/** One run of the indexer until nothing is left to do now, as `index`, `retry` and `reset` make it. */
import { type Sessions, StorageError } from '../index.js'
import { createIndexer, type DrainReport, type IndexHome, type IndexStatus } from '../indexer/index.js'
import { clip } from './columns.js'
import { failpointOf } from './failpoint.js'
import { elsewhereText, leftOutText, pendingOf, recentFailure } from './health.js'
import { count, print, printJson, span, warn } from './output.js'
import { IndexingProgress } from './progress.js'

export interface RunResult {
  readonly report: DrainReport
  /** Indexed sessions of stores that were not looked at. */
  readonly elsewhere: number
  /** Of those the ones that another store has an older copy of. */
  readonly behind: number
  /** Texts that the embedder cut at its context meanwhile. */
  readonly truncated: number
}

/** @throws StorageError, and the reason of the signal once it is aborted and everything is put down */
export async function runIndex(sessions: Sessions, home: IndexHome, signal: AbortSignal): Promise<RunResult> {
  const progress = new IndexingProgress(sessions.index)
  const truncated = (): number => home.state.status().counters.truncated
  const before = truncated()
  await using indexer = createIndexer({ ...home, sessions, signal, failpoint: failpointOf(process.env), onProgress: (event) => progress.add(event) })
  try {
    const { elsewhere, behind } = await indexer.observe(signal)
    const report = await indexer.drain(signal)
    progress.end(report.stopped ? 'stopped' : 'done')
    return { report, elsewhere, behind, truncated: truncated() - before }
  } catch (error) {
    progress.end('stopped')
    throw error instanceof StorageError || signal.aborted
      ? error
      : new StorageError('STATE_UNAVAILABLE', { reason: `indexing stopped: ${String(error)}` }, { cause: error })
  }
}

/** What the run did, and what is left; sets the exit status when something could not be done. */
export async function printRun(
  home: IndexHome,
  { report, elsewhere, behind, truncated }: RunResult,
  { json = false }: { readonly json?: boolean | undefined },
): Promise<void> {
  const status = home.state.status()
  const pending = pendingOf(status)
  const documents = await searchable(home)
  const { ledger, dead, toRebuild, leftOut } = status
  if (json) {
    const { embedded, cached, deleted, replayed, failed, deferred } = report
    const done = { embedded, cached, deleted, replayed, failed, deferred }
    await printJson({ sessions: ledger.sessions, messages: ledger.messages, documents, ...done, pending, dead, toRebuild, leftOut, elsewhere })
  } else {
    await print(`${count(documents, 'document')} of ${count(ledger.messages, 'message')} in ${count(ledger.sessions, 'session')} can be searched.`)
    if (pending > 0) await print(pendingText(status, report, pending))
    if (toRebuild > 0) await print(`${count(toRebuild, 'session')} still to be built for the new embedder; until then the earlier one is searched.`)
    if (dead > 0) await print(`${count(dead, 'text or record', 'texts or records')} put aside: spanleaf retry --list`)
  }
  if (elsewhere > 0) warn(`${elsewhereText(elsewhere, 'now ')}${behind > 0 ? `; ${behindText(behind)}` : ''}`)
  if (leftOut > 0) warn(leftOutText(leftOut))
  if (truncated > 0)
    warn(`${count(truncated, 'text')} cut at the context of the model, as OLLAMA_EMBED_TRUNCATE allows; what is beyond is not found by meaning`)
  if (report.failed + report.deferred === 0) return
  warn(failureText(status, report))
  process.exitCode = 1
}

function behindText(behind: number): string {
  return `another store has an older copy of ${behind.toLocaleString('en')} (should the newer one be gone for good: spanleaf forget, then index --include)`
}

/** By the ledger while the sink cannot be asked. */
async function searchable({ searched, state }: IndexHome): Promise<number> {
  try {
    return await searched().sink.count()
  } catch (error) {
    if (!(error instanceof StorageError)) throw error
    return state.status().ledger.documents
  }
}

function pendingText(status: IndexStatus, { failed, deferred }: DrainReport, pending: number): string {
  const sessions = `${count(pending, 'session')} pending`
  if (failed + deferred > 0) return `${sessions}: see below, and spanleaf status.`
  const failure = recentFailure(status, Date.now())
  if (failure !== undefined) return `${sessions}: the last failure was ${failure.code}: ${clip(failure.reason)} (spanleaf status).`
  return `${sessions}: a last message looks unfinished (it is taken as it is after 15 quiet minutes).`
}

function failureText({ breakers, lastError }: IndexStatus, { deferred }: DrainReport): string {
  const open = breakers.find(({ state }) => state !== 'closed')
  const failure = open?.failure ?? lastError
  const why = failure === null ? '' : ` (${failure.code}: ${failure.reason})`
  if (deferred > 0) return `the ${open?.service ?? 'embedder or sink'} is down${why}; what waits for it is indexed by the next run`
  const when = lastError === null ? '' : `, the last ${span(Date.now() - lastError.at)} ago`
  return `some sessions could not be indexed now${why}${when}; they are tried again later`
}
