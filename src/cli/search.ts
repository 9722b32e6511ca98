/** spanleaf search: finds messages by their words. */
import type { Command } from 'commander'
import { openSessions, StorageError } from '../index.js'
import { countStale, hasIndex, type IndexHome, openIndexHome, readExclusions, type SearchHit } from '../indexer/index.js'
import { type CommonOptions, command, homeOf, sinceOption, untilOption, wholeNumber } from './command.js'
import { clip, count, formatTime, print, printJson, warn } from './output.js'
import { type SearchFilters, searchAll, searchesOf } from './search-filters.js'

interface SearchCommandOptions extends CommonOptions, SearchFilters {
  readonly limit: number
}

export function searchCommand(signal: AbortSignal): Command {
  return command('search', 'search what is indexed')
    .argument('<query...>', 'what to look for')
    .option('--limit <n>', 'at most so many hits', wholeNumber, 10)
    .option('--project <dir>', 'only in this folder (or project id)')
    .option('--dir <dir>', 'only sessions that ran in this folder or below it')
    .option('--role <role>', 'only messages of: user, assistant')
    .option('--agent <name>', 'only sessions of this agent')
    .option('--session <id>', 'only this session')
    .option('--since <when>', 'only messages since a date, or not older than 36h, 7d, 2w', sinceOption)
    .option('--until <when>', 'only messages until then (a date: the whole day)', untilOption)
    .action((words: readonly string[], options: SearchCommandOptions) => search(words.join(' '), options, signal))
}

async function search(query: string, options: SearchCommandOptions, signal: AbortSignal): Promise<void> {
  const folder = homeOf(options)
  if (!hasIndex(folder)) {
    warn('nothing is indexed yet; run `spanleaf index` first')
    return
  }
  const home = await openIndexHome({ home: folder })
  try {
    const hits = await searchAll(home, query, searchesOf(options, home.state), { limit: options.limit, signal })
    for (const [at, hit] of hits.entries()) {
      if (options.json) await printJson(hitJson(hit))
      else await print(hitText(at + 1, hit))
    }
    if (hits.length === 0 && options.json !== true) await print('No hits.')
    const staleness = await stalenessOf(home, options, signal)
    if (staleness !== undefined) warn(staleness)
  } finally {
    await home.close()
  }
}

function hitJson({ score, agent, session, message, role, text, title, directory, source, created }: SearchHit): object {
  return { score, agent, session, message, role, text, title, directory, source, created }
}

function hitText(rank: number, hit: SearchHit): string {
  const head = `${rank}. ${clip(hit.title || '(no title)', 100)}  ·  ${hit.role}, ${formatTime(hit.created)}  ·  ${clip(hit.directory, 200)}`
  return `${head}\n   ${clip(hit.text, 400)}\n   spanleaf show ${hit.session}\n`
}

/** How far the index is behind the stores, in a sentence; undefined when it is not. Costs a listing, no content. */
async function stalenessOf({ state }: IndexHome, options: CommonOptions, signal: AbortSignal): Promise<string | undefined> {
  const { queue } = state.status()
  const pending = queue.ready + queue.leased + queue.backoff
  const notes = pending === 0 ? [] : [`${count(pending, 'session')} still pending`]
  try {
    const sessions = await openSessions({ ...(options.data && { data: options.data }), signal })
    try {
      const changed = await countStale(state, sessions, readExclusions(homeOf(options)))
      if (changed > 0) notes.push(`${count(changed, 'session')} new or changed`)
    } finally {
      await sessions.close()
    }
  } catch (error) {
    if (!(error instanceof StorageError)) throw error
    notes.push('the stores could not be looked at')
  }
  return notes.length === 0 ? undefined : `the index is behind: ${notes.join(', ')}; run \`spanleaf index\``
}
