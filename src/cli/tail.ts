/** spanleaf tail: what a session said last, what is new since a cursor, and what comes. */
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import type { Command } from 'commander'
import { type Cursor, type FollowUpdate, followSession, isCursor, runSessionTreeFlow, type Sessions, StorageError } from '../index.js'
import { type CommonOptions, command, sessionMeta, wholeNumber, withSessions } from './command.js'
import { issueJson, print, printJson, warn } from './output.js'
import { issuesIn, messageJson, treeIn } from './show-json.js'
import { issueText, messageText } from './show-text.js'

interface TailOptions extends CommonOptions {
  readonly last?: number
  readonly follow?: boolean
  readonly cursor?: string
  readonly poll?: number
}

/** Messages shown of a session that is not read from a cursor. */
const LAST = 10

export function tailCommand(signal: AbortSignal): Command {
  return command('tail', 'show the end of a session, and what comes')
    .argument('<id>', 'the id of the session')
    .option('--last <n>', `so many messages of what is there (default: ${LAST}, with --cursor all that are new)`, wholeNumber)
    .option('--follow', 'go on with every message that is new or changes, until it is interrupted')
    .option('--cursor <file>', 'only what is new since this file was written; it is written again afterwards')
    .option('--poll <ms>', 'with --follow: milliseconds between two looks', wholeNumber, 500)
    .action((id: string, options: TailOptions) => tail(id, options, signal))
}

async function tail(id: string, options: TailOptions, signal: AbortSignal): Promise<void> {
  if (options.poll === 0) throw new StorageError('INVALID_OPTION', { reason: '--poll must be at least 1' })
  await withSessions(options, signal, async (sessions) => {
    const { key } = await sessionMeta(sessions, id)
    const since = options.cursor === undefined ? undefined : readCursor(options.cursor)
    const last = options.last ?? (since === undefined ? LAST : Number.POSITIVE_INFINITY)
    if (options.follow === true) return follow(sessions, key, { ...options, last }, since, signal)
    const result = await runSessionTreeFlow(sessions, { session: key, signal, ...(since && { since }) })
    const { cursor, reread, removed = [] } = result.status === 'failed' ? {} : result
    await show({ messages: treeIn(result).messages, removed, reread, session: undefined, issues: issuesIn(result), cursor }, last, options)
    keepCursor(options, cursor)
  })
}

async function follow(
  sessions: Sessions,
  session: Parameters<typeof followSession>[1],
  options: TailOptions & { readonly last: number },
  since: Cursor | undefined,
  signal: AbortSignal,
): Promise<void> {
  let { last } = options
  for await (const update of followSession(sessions, session, { signal, pollMs: options.poll ?? 500, ...(since && { since }) })) {
    await show(update, last, options)
    keepCursor(options, update.cursor)
    last = Number.POSITIVE_INFINITY
  }
}

async function show({ messages, removed, reread, issues }: FollowUpdate, last: number, { json }: CommonOptions): Promise<void> {
  const shown = last === Number.POSITIVE_INFINITY ? messages : messages.slice(Math.max(0, messages.length - last))
  if (json === true) {
    if (reread !== undefined) await printJson({ type: 'reread', reason: reread })
    for (const message of shown) await printJson({ type: 'message', ...messageJson(message) })
    for (const id of removed) await printJson({ type: 'removed', id })
    for (const issue of issues) await printJson({ type: 'issue', ...issueJson(issue) })
    return
  }
  if (reread !== undefined) warn(`the log was read from its start: ${reread}`)
  for (const message of shown) await print(messageText(message))
  for (const id of removed) await print(`── removed ${id}\n`)
  for (const issue of issues) await print(issueText(issue))
}

/** Undefined when there is no such file yet. @throws StorageError INVALID_OPTION for one that holds no cursor */
function readCursor(path: string): Cursor | undefined {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new StorageError('INVALID_OPTION', { reason: `--cursor cannot be read (${(error as NodeJS.ErrnoException).code})`, path }, { cause: error })
  }
  const cursor = parsed(text)
  if (isCursor(cursor)) return cursor
  throw new StorageError('INVALID_OPTION', { reason: '--cursor names a file that spanleaf did not write', path })
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Put in place by a rename; without a new cursor the old one stays, and what it gives will be given again. */
function keepCursor({ cursor: path }: TailOptions, cursor: Cursor | undefined): void {
  if (path === undefined || cursor === undefined) return
  const draft = `${path}.${process.pid}`
  writeFileSync(draft, `${JSON.stringify(cursor)}\n`, { mode: 0o600 })
  renameSync(draft, path)
}
