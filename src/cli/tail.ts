/** spanleaf tail: what a session said last, what is new since a cursor, and what comes. */
import type { Command } from 'commander'
import { type FollowUpdate, followSession, runSessionTreeFlow, type SessionKey, type Sessions, type TreeRequest } from '../index.js'
import { type CommonOptions, command, LONGEST_WAIT_MS, numberUpTo, wholeNumber, withCatalog, withSession } from './command.js'
import { CursorFile } from './cursor-file.js'
import { issueJson, print, printJson, warn } from './output.js'
import { issuesIn, messageJson, ofSession, treeIn } from './show-json.js'
import { TailText } from './tail-text.js'

interface TailOptions extends CommonOptions {
  readonly last?: number
  readonly follow?: boolean
  readonly cursor?: string
  readonly poll: number
}

/** Messages shown of a session that is not read from a cursor. */
const LAST = 10

export function tailCommand(signal: AbortSignal): Command {
  return withCatalog(command('tail'))
    .argument('<id>', 'the id of the session')
    .option('--last <n>', `so many messages of what is there (default: ${LAST}, with --cursor all that are new)`, wholeNumber)
    .option('--follow', 'go on with every message that is new or changes, until it is interrupted')
    .option('--cursor <file>', 'only what is new since this file was written; it is written again afterwards')
    .option('--poll <ms>', 'with --follow: milliseconds between two looks', numberUpTo(LONGEST_WAIT_MS), 500)
    .action((id: string, options: TailOptions) => tail(id, options, signal))
}

async function tail(id: string, options: TailOptions, signal: AbortSignal): Promise<void> {
  await withSession(id, options, signal, async (sessions, { key }) => {
    const file = options.cursor === undefined ? undefined : new CursorFile(options.cursor, sessions)
    const since = file?.read(key.session)
    const telling = new Telling(key, options, options.last ?? (since === undefined ? LAST : Number.POSITIVE_INFINITY), file)
    const updates = options.follow === true ? followSession(sessions, key, { signal, pollMs: options.poll, ...(since && { since }) }) : undefined
    // Without a file nobody needs to know where the session ends, nor what stands before what is shown.
    const last = file === undefined ? (options.last ?? LAST) : undefined
    if (updates === undefined)
      await telling.tell(
        await readOnce(sessions, { session: key, ...(since && { since }), ...(last !== undefined && { messages: { last } }), signal }),
      )
    else for await (const update of updates) await telling.tell(update)
  })
}

async function readOnce(sessions: Sessions, request: TreeRequest): Promise<FollowUpdate> {
  const result = await runSessionTreeFlow(sessions, request)
  const tree = treeIn(result)
  const { cursor, reread, removed = [] } = result.status === 'failed' ? {} : result
  return { messages: tree.messages, removed, reread, session: tree.session, issues: issuesIn(result), cursor }
}

/** Prints updates, and keeps where they end. */
class Telling {
  readonly #key: SessionKey
  readonly #options: CommonOptions
  readonly #file: CursorFile | undefined
  readonly #text = new TailText()
  /** So many messages of the next update are shown. */
  #last: number

  constructor(key: SessionKey, options: CommonOptions, last: number, file: CursorFile | undefined) {
    this.#key = key
    this.#options = options
    this.#last = last
    this.#file = file
  }

  async tell(update: FollowUpdate): Promise<void> {
    if (this.#options.json === true) await this.#tellPrograms(update)
    else await this.#tellPeople(update)
    this.#last = Number.POSITIVE_INFINITY
    if (this.#file === undefined || update.cursor === undefined) return
    // What nobody got will be given again.
    if (await isWritten()) this.#file.write(update.cursor)
  }

  async #tellPeople(update: FollowUpdate): Promise<void> {
    if (update.reread !== undefined) warn(`the log was read from its start: ${update.reread}`)
    for (const text of this.#text.paragraphs(update, this.#last)) await print(text)
  }

  async #tellPrograms({ messages, removed, reread, issues }: FollowUpdate): Promise<void> {
    const of = ofSession(this.#key)
    if (reread !== undefined) await printJson({ type: 'reread', ...of, reason: reread })
    for (const message of messages.slice(Math.max(0, messages.length - this.#last)))
      await printJson({ type: 'message', ...of, ...messageJson(message) })
    for (const message of removed) await printJson({ type: 'removed', ...of, message })
    for (const issue of issues) await printJson({ type: 'issue', ...of, ...issueJson(issue) })
  }
}

/** Whether all that was printed went out. */
function isWritten(): Promise<boolean> {
  return new Promise((resolve) => {
    process.stdout.write('', (error) => resolve(error === undefined || error === null))
  })
}
