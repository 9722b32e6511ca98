/** spanleaf index: brings the search index to what the stores hold now. */
import { type Command, Option } from 'commander'
import { type Sessions, StorageError } from '../index.js'
import {
  addExclusions,
  createIndexer,
  type DrainReport,
  type IndexHome,
  openIndexHome,
  readExclusions,
  refuseInsideStore,
  removeExclusions,
  sessionSource,
} from '../indexer/index.js'
import { type CommonOptions, collect, command, homeOf, withSessions } from './command.js'
import { count, print, printJson, warn } from './output.js'
import { IndexingProgress } from './progress.js'
import { exclusionOf, inScope, type Scope, scopeOf } from './scope.js'

interface IndexOptions extends CommonOptions {
  readonly exclude?: readonly string[]
  readonly include?: readonly string[]
  readonly store?: never
}

export function indexCommand(signal: AbortSignal): Command {
  return command('index', 'index what is new for search; ends when nothing is left to do now', { narrows: false })
    .addOption(new Option('--store <kind>').argParser(refuseStore).hideHelp())
    .option('--exclude <what>', 'never index this folder, project id or session id, now and later; what was indexed of it goes (repeatable)', collect)
    .option('--include <what>', 'take back an exclusion (repeatable)', collect)
    .action((options: IndexOptions) => index(options, signal))
}

/** Without the other stores a hidden copy would be taken for the session, and what only they hold for deleted. */
function refuseStore(): never {
  throw new StorageError('INVALID_OPTION', {
    reason: 'the index holds each session once, from the store that it is read from, so index takes no --store; search does',
  })
}

async function index(options: IndexOptions, signal: AbortSignal): Promise<void> {
  await withSessions(options, signal, async (sessions) => {
    const folder = homeOf(options)
    refuseInsideStore(folder, sessions)
    changeExclusions(folder, options, sessions)
    const home = await openIndexHome({ home: folder, sessions })
    try {
      const { report, failure, elsewhere } = await run(sessions, home, folder, signal)
      await printResult(home, report, options)
      if (elsewhere > 0) warn(`${count(elsewhere, 'indexed session')} of stores that were not looked at now stay as they are`)
      signal.throwIfAborted()
      if (failure === undefined) return
      warn(`some sessions could not be indexed now (${failure}); they are tried again later`)
      process.exitCode = 1
    } finally {
      await home.close()
    }
  })
}

function changeExclusions(folder: string, { exclude = [], include = [] }: IndexOptions, sessions: Sessions): void {
  const scopes = (values: readonly string[]): readonly Scope[] => values.map((value) => scopeOf(value, sessions))
  if (include.length > 0) removeExclusions(folder, exclusionOf(scopes(include)))
  if (exclude.length === 0) return
  for (const [at, scope] of scopes(exclude).entries()) {
    const matches = sessions.index.sessionsByTime().some((meta) => inScope(scope)(meta) || (scope.kind === 'id' && meta.id === scope.id))
    if (!matches) warn(`no session matches ${exclude[at]} now; it is excluded all the same`)
  }
  addExclusions(folder, exclusionOf(scopes(exclude)))
}

async function run(
  sessions: Sessions,
  { state, cache, embedder, sink }: IndexHome,
  folder: string,
  signal: AbortSignal,
): Promise<{ report: DrainReport; failure: string | undefined; elsewhere: number }> {
  const progress = new IndexingProgress(sessions.index.stats().sessions)
  let failure: string | undefined
  const indexer = createIndexer({
    sessions: sessionSource(sessions),
    state,
    cache,
    embedder,
    sink,
    exclude: () => readExclusions(folder),
    onProgress: (event) => {
      progress.add(event)
      if (event.kind === 'failed') failure = event.failure.code
    },
  })
  try {
    const { elsewhere } = await indexer.observe(signal)
    const report = await indexer.drain(signal)
    progress.end(report.stopped ? 'stopped' : 'done')
    return { report, failure, elsewhere }
  } catch (error) {
    progress.end('stopped')
    throw error instanceof StorageError || signal.aborted
      ? error
      : new StorageError('STATE_UNAVAILABLE', { reason: `indexing stopped: ${String(error)}` }, { cause: error })
  } finally {
    await indexer[Symbol.asyncDispose]()
  }
}

async function printResult(home: IndexHome, { embedded, cached }: DrainReport, { json }: IndexOptions): Promise<void> {
  const { ledger, queue, dead } = home.state.status()
  const pending = queue.ready + queue.leased + queue.backoff
  const documents = await home.sink.count()
  if (json) {
    await printJson({ sessions: ledger.sessions, messages: ledger.messages, documents, embedded, cached, pending, dead })
    return
  }
  await print(`${count(documents, 'document')} of ${count(ledger.messages, 'message')} in ${count(ledger.sessions, 'session')} can be searched.`)
  if (pending === 0) return
  await print(
    `${count(pending, 'session')} pending: a last message looks unfinished (it is taken as it is after 15 quiet minutes), or something failed.`,
  )
}
