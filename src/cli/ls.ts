/** spanleaf ls: the sessions of every store, of all agents. */
import { type Command, Option } from 'commander'
import {
  cursorAfter,
  pageSessions,
  type SessionMeta,
  type SessionPage,
  type SessionQuery,
  type SessionSort,
  type Sessions,
  StorageError,
} from '../index.js'
import { type CommonOptions, command, DAMAGED, isOfCatalog, isUnread, positiveNumber, withCatalog, withSessions } from './command.js'
import { print, printJson } from './output.js'
import { cwdOption, inScope, scopeOf } from './scope.js'
import { sessionTable } from './session-lines.js'

interface LsOptions extends CommonOptions {
  readonly all?: boolean
  readonly sort?: SessionSort
  readonly search?: string
  readonly cwd?: readonly string[]
  readonly project?: string
  readonly tag?: string
  readonly limit?: number
  readonly after?: string
}

/** What is asked of the index at a time. */
const PAGE = 500

export function lsCommand(signal: AbortSignal): Command {
  return withCatalog(command('ls'))
    .option('--all', 'child sessions and archived ones too')
    .addOption(new Option('--sort <order>', 'the last updated first, the newest first, or by name').choices(['updated', 'created', 'name']))
    .option('--search <words>', 'only those with these words in title, label or first prompt; the last may be the beginning of one')
    .option('--cwd <dir>', 'only those that ran in exactly this folder; with a / at its end: or below it', cwdOption)
    .option('--project <dir>', 'only those of this folder and below it (or project id)')
    .option('--tag <tag>', 'only those with this tag')
    .option('--limit <n>', 'at most so many', positiveNumber)
    .option('--after <cursor>', 'go on where a list with --limit ended')
    .action((options: LsOptions) => list(options, signal))
}

async function list(options: LsOptions, signal: AbortSignal): Promise<void> {
  await withSessions(options, signal, async (sessions) => {
    const { rows, next } = await rowsOf(sessions, options, signal)
    const counts = await sessions.index.messageCounts(rows.map((meta) => meta.key))
    const table = sessionTable(rows, options)
    if (!options.json && rows.length > 0) await print(table.head)
    for (const [at, meta] of rows.entries()) {
      signal.throwIfAborted()
      const messages = counts[at] ?? 0
      if (options.json) await printJson(toJson(meta, messages, at === rows.length - 1 ? next : undefined))
      else await print(table.line(meta, messages))
    }
    const isUnsure = rows.length === 0 && sessions.issues.some((issue) => isUnread(issue) && !isOfCatalog(issue, options))
    if (isUnsure) process.exitCode = DAMAGED
    if (options.json === true) return
    if (rows.length === 0) await print(isUnsure ? 'No sessions in what can be read.' : 'No sessions.')
    else if (next !== undefined) await print(`There are more: --after ${next}`)
  })
}

interface Rows {
  readonly rows: readonly SessionMeta[]
  /** Where a list that ends here goes on, if there is more. */
  readonly next: string | undefined
}

async function rowsOf(sessions: Sessions, options: LsOptions, signal: AbortSignal): Promise<Rows> {
  const { limit = Number.POSITIVE_INFINITY } = options
  const wanted = options.project === undefined ? () => true : inScope(scopeOf(options.project, sessions))
  const query = queryOf(options)
  const rows: SessionMeta[] = []
  for (let { after } = options, more = true; more; ) {
    signal.throwIfAborted()
    const page = await pageOf(sessions, query, after)
    for (const meta of page.sessions.filter(wanted)) {
      const last = rows.at(-1)
      if (rows.length === limit && last !== undefined) return { rows, next: cursorAfter(last, query) }
      rows.push(meta)
    }
    after = page.next
    more = after !== undefined
  }
  return { rows, next: undefined }
}

/** @throws StorageError INVALID_OPTION for a cursor that is none of this list */
async function pageOf(sessions: Sessions, query: SessionQuery, after: string | undefined): Promise<SessionPage> {
  try {
    return await pageSessions(sessions, { ...query, ...(after !== undefined && { after }), limit: PAGE })
  } catch (error) {
    if (!(error instanceof StorageError) || !error.reason.startsWith('`after`')) throw error
    const reason = '--after takes what a list with --limit ended with, of the same order and the same choice of sessions'
    throw new StorageError('INVALID_OPTION', { reason }, { cause: error })
  }
}

function queryOf({ all = false, sort, search, cwd, tag }: LsOptions): SessionQuery {
  return {
    children: all,
    archived: all,
    ...(sort !== undefined && { sort }),
    ...(search !== undefined && { search }),
    ...(cwd !== undefined && { cwd }),
    ...(tag !== undefined && { tag }),
  }
}

function toJson(meta: SessionMeta, messages: number, next: string | undefined): object {
  const { key, id, title, directory, project, parent, created, updated, archived, model, label, tag, entries, damaged, source, hides } = meta
  return {
    agent: key.agent,
    session: id,
    title,
    label: label ?? null,
    tag: tag ?? null,
    directory,
    project,
    parent: parent ?? null,
    created,
    updated,
    archived: archived ?? null,
    model: model === undefined ? null : { id: model.id, providerID: model.providerID },
    messages,
    entries: entries ?? null,
    damaged,
    source,
    hides,
    next: next ?? null,
  }
}
