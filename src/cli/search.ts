/** spanleaf search: finds messages by their words. */
import { type Command, Option } from 'commander'
import { openSessions, type Sessions, StorageError } from '../index.js'
import {
  countDeleted,
  countStale,
  type IndexReader,
  indexedIn,
  type ResolvedConfig,
  readExclusions,
  type SearchHit,
  type SearchOptions,
} from '../indexer/index.js'
import { clip } from './columns.js'
import { command, homeOf, numberUpTo, refuseNoIndex, sinceOption, untilOption, withSessions } from './command.js'
import { configOf, openHome, openReader } from './home.js'
import { count, formatTime, print, printJson, warn } from './output.js'
import { runIndex } from './run-index.js'
import { type SearchFilters, searchAll, searchesOf } from './search-filters.js'
import { type ServiceOptions, withServices } from './services.js'

interface SearchCommandOptions extends ServiceOptions, Omit<SearchFilters, keyof ServiceOptions> {
  readonly limit: number
}

/** What `searchIndex` gives at most. */
export const MOST_HITS = 10_000

export function searchCommand(signal: AbortSignal): Command {
  const made = command('search')
    .argument('<query...>', 'what to look for')
    .option('--limit <n>', 'at most so many hits', numberUpTo(MOST_HITS), 10)
    .option('--project <dir>', 'only in this folder (or project id)')
    .option('--dir <dir>', 'only sessions that ran in this folder or below it')
    .addOption(new Option('--role <role>', 'only messages of the user or of the assistant').choices(['user', 'assistant']))
    .option('--session <id>', 'only this session')
    .option('--since <when>', 'only messages since a date, or not older than 36h, 7d, 2w', sinceOption)
    .option('--until <when>', 'only messages until then (a date: the whole day)', untilOption)
  return withServices(made).action((words: readonly string[], options: SearchCommandOptions) => search(words.join(' '), options, signal))
}

async function search(query: string, options: SearchCommandOptions, signal: AbortSignal): Promise<void> {
  if (query.trim() === '') throw new StorageError('INVALID_OPTION', { reason: 'there is no word to look for' })
  const settings = configOf(options)
  if (settings.values.autoIndex) await indexFirst(options, settings, signal)
  await using index = await openReader(options, { signal, settings })
  if (index === undefined) refuseNoIndex()
  await using stores = options.data && (await openSessions({ data: options.data, signal }))
  const among = stores && (await indexedIn(index.state, stores))
  const hits = await hitsOf(index, query, searchesOf({ ...options, among }, index.state), { limit: options.limit, signal })
  for (const [at, hit] of hits.entries()) {
    if (options.json) await printJson(hitJson(hit))
    else await print(hitText(at + 1, hit))
  }
  if (hits.length === 0 && options.json !== true) await print('No hits.')
  const staleness = await stalenessOf(index, options, stores, signal)
  if (staleness !== undefined) warn(staleness)
}

/** SPANLEAF_AUTO_INDEX. What cannot be indexed now is no reason not to search. */
async function indexFirst({ store: _, agent: __, ...options }: SearchCommandOptions, settings: ResolvedConfig, signal: AbortSignal): Promise<void> {
  try {
    await withSessions(options, signal, async (sessions) => {
      await using home = await openHome(options, { sessions, signal, rebuild: true, settings })
      await runIndex(sessions, home, signal)
    })
  } catch (error) {
    if (!(error instanceof StorageError) || error.code === 'INVALID_OPTION') throw error
    warn(`what is new could not be indexed: ${error.message}`)
  }
}

/** By words alone while the embedder cannot be asked. */
async function hitsOf(
  index: IndexReader,
  query: string,
  searches: readonly SearchOptions[],
  options: { readonly limit: number; readonly signal: AbortSignal },
): Promise<readonly SearchHit[]> {
  try {
    return await searchAll(index, query, searches, options)
  } catch (error) {
    if (!(error instanceof StorageError) || !error.code.startsWith('EMBEDDER_')) throw error
    warn(`searched by words alone: ${error.reason}`)
    return searchAll(
      index,
      query,
      searches.map((search) => ({ ...search, vectorWeight: 0 })),
      options,
    )
  }
}

/** Copies that are told one by one. */
const COPIES_TOLD = 20

function hitJson({ score, agent, session, message, role, text, title, directory, source, created, copies }: SearchHit): object {
  const told = { copies: copies.slice(0, COPIES_TOLD), copied: copies.length }
  return { score, agent, session, message, role, text, title, directory, source, created, ...told }
}

function hitText(rank: number, hit: SearchHit): string {
  const head = `${rank}. ${clip(hit.title || '(no title)', 100)}  ·  ${hit.role}, ${formatTime(hit.created)}  ·  ${clip(hit.directory, 200)}`
  const agent = hit.agent === 'opencode' ? '' : ` --agent ${hit.agent}`
  const others = new Set(hit.copies.map(({ session }) => session)).size
  const also = others === 0 ? '' : `  (also in ${count(others, 'session')})`
  return `${head}\n   ${clip(hit.text, 400)}\n   spanleaf show ${hit.session}${agent}${also}\n`
}

/** How far the index is behind the stores, in a sentence; undefined when it is not. Costs a listing, no content. */
async function stalenessOf(
  { state }: IndexReader,
  options: ServiceOptions,
  opened: Sessions | undefined,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { queue } = state.status()
  const pending = queue.ready + queue.leased + queue.backoff
  const notes = pending === 0 ? [] : [`${count(pending, 'session')} still pending`]
  try {
    const sessions = opened ?? (await openSessions({ signal }))
    try {
      const exclusions = readExclusions(homeOf(options))
      const changed = await countStale(state, sessions, exclusions)
      if (changed > 0) notes.push(`${count(changed, 'session')} new or changed`)
      const deleted = await countDeleted(state, sessions, exclusions)
      if (deleted > 0) notes.push(`${count(deleted, 'session')} deleted since`)
    } finally {
      if (opened === undefined) await sessions.close()
    }
  } catch (error) {
    if (!(error instanceof StorageError)) throw error
    notes.push('the stores could not be looked at')
  }
  return notes.length === 0 ? undefined : `the index is behind: ${notes.join(', ')}; run \`spanleaf index\``
}
