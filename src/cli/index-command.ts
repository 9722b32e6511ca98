/** spanleaf index: brings the search index to what the stores hold now. */
import { isAbsolute, resolve } from 'node:path'
import type { Command } from 'commander'
import ora, { type Ora } from 'ora'
import type { Sessions } from '../index.js'
import {
  addExclusions,
  createIndexer,
  type DrainReport,
  type Exclusion,
  type IndexHome,
  type IndexProgress,
  openIndexHome,
  readExclusions,
  removeExclusions,
  sessionSource,
} from '../indexer/index.js'
import { type CommonOptions, collect, command, withSessions } from './command.js'
import { count, print, printJson, warn } from './output.js'

interface IndexOptions extends CommonOptions {
  readonly exclude?: readonly string[]
  readonly include?: readonly string[]
}

export function indexCommand(signal: AbortSignal): Command {
  return command('index', 'index what is new for search; ends when nothing is left to do now')
    .option('--exclude <what>', 'never index this folder, project id or session id, now and later; what was indexed of it goes (repeatable)', collect)
    .option('--include <what>', 'take back an exclusion (repeatable)', collect)
    .action((options: IndexOptions) => index(options, signal))
}

/** Folders are told from ids by their separator: no id holds one. */
export function exclusionOf(values: readonly string[]): Exclusion {
  const folders = values.filter(isFolder)
  const ids = values.filter((value) => !folders.includes(value))
  return { directories: folders.map((folder) => resolve(folder)), projects: ids, sessions: ids }
}

export function isFolder(value: string): boolean {
  return isAbsolute(value) || /[/\\]/.test(value) || value === '.' || value === '..'
}

async function index(options: IndexOptions, signal: AbortSignal): Promise<void> {
  if (options.include) removeExclusions(options.home, exclusionOf(options.include))
  if (options.exclude) addExclusions(options.home, exclusionOf(options.exclude))
  await withSessions(options, signal, async (sessions) => {
    const home = await openIndexHome({ home: options.home, sessions })
    try {
      const { report, refused } = await run(sessions, home, options, signal)
      const status = home.state.status()
      const { ready, leased, backoff } = status.queue
      const pending = ready + leased + backoff
      const documents = await home.sink.count()
      if (options.json) {
        const { embedded, cached } = report
        await printJson({
          sessions: status.ledger.sessions,
          messages: status.ledger.messages,
          documents,
          embedded,
          cached,
          pending,
          dead: status.dead,
        })
      } else {
        await print(
          `${count(documents, 'document')} of ${count(status.ledger.messages, 'message')} in ${count(status.ledger.sessions, 'session')} can be searched.`,
        )
        if (pending > 0)
          await print(`${count(pending, 'session')} still pending: they are being written, or are tried again later. Run \`spanleaf index\` again.`)
      }
      if (refused !== undefined) warn(refused)
      signal.throwIfAborted()
    } finally {
      await home.close()
    }
  })
}

async function run(
  sessions: Sessions,
  home: IndexHome,
  options: IndexOptions,
  signal: AbortSignal,
): Promise<{ report: DrainReport; refused: string | undefined }> {
  const progress = new Progress(sessions.index.stats().sessions)
  let refused: string | undefined
  const { state, cache, embedder, sink } = home
  const indexer = createIndexer({
    sessions: sessionSource(sessions),
    state,
    cache,
    embedder,
    sink,
    exclude: readExclusions(options.home),
    onProgress: (event) => {
      progress.add(event)
      if (event.kind === 'failed') refused = `some sessions could not be indexed now (${event.failure.code}); they are tried again later`
    },
  })
  try {
    await indexer.observe(signal)
    return { report: await indexer.drain(signal), refused }
  } finally {
    await indexer[Symbol.asyncDispose]()
    progress.end()
  }
}

/** A spinner on a terminal, nothing where stderr goes elsewhere but a line at the end. */
class Progress {
  readonly #spinner: Ora
  readonly #total: number
  #sessions = 0
  #documents = 0

  constructor(total: number) {
    this.#total = total
    this.#spinner = ora({ text: `looking at ${count(total, 'session')}`, stream: process.stderr, discardStdin: false }).start()
  }

  add(event: IndexProgress): void {
    if (event.kind === 'released') this.#sessions++
    else if (event.kind === 'committed') this.#documents += event.documents
    else return
    this.#spinner.text = this.#text()
  }

  end(): void {
    this.#spinner.succeed(this.#text())
  }

  #text(): string {
    return `indexed ${this.#sessions} of ${count(this.#total, 'session')}, ${count(this.#documents, 'new document')}`
  }
}
