/** spanleaf show: a session with its messages and parts. */
import { type Command, Option } from 'commander'
import {
  type ChildLink,
  compareCopies,
  type FlowResult,
  findChildLinks,
  runSessionFlow,
  runSessionTreeFlow,
  type SessionHydratedTree,
  type SessionId,
  type SessionKey,
  type SessionMeta,
  type Sessions,
  type StageIssue,
  type StageReport,
  StorageError,
} from '../index.js'
import { type Branch, type BranchOptions, branchOf } from './branch.js'
import { type CommonOptions, command, wholeNumber, withCatalog, withSession } from './command.js'
import { print, printJson } from './output.js'
import { addLinks, type Copies, endJson, headJson, issuesIn, type Links, messageJson, ofSession, treeIn } from './show-json.js'
import { issueText, linksText, messageText, sessionText } from './show-text.js'

interface ShowOptions extends CommonOptions, BranchOptions {
  readonly children?: boolean
  readonly jsonl?: boolean
  readonly native?: boolean
}

export function showCommand(signal: AbortSignal): Command {
  return withCatalog(command('show'))
    .argument('<id>', 'the id of the session')
    .option('--last <n>', 'only its last messages', wholeNumber)
    .option('--children', 'the sessions it started too')
    .option('--jsonl', 'record by record, for sessions of any size: session, messages, end')
    .addOption(
      new Option('--branch <which>', 'active: where messages form a tree, only those that lead to the last one')
        .choices(['active', 'all'])
        .default('all'),
    )
    .option('--native', 'with --json or --jsonl: the untouched originals beside the records')
    .action((id: string, options: ShowOptions) => show(id, options, signal))
}

async function show(id: string, options: ShowOptions, signal: AbortSignal): Promise<void> {
  if (options.native && !options.json && !options.jsonl) {
    throw new StorageError('INVALID_OPTION', { reason: '--native gives documents: it needs --json or --jsonl' })
  }
  await withSession(id, options, signal, async (sessions, meta) => {
    const reader = new ShowReader(sessions, options, signal)
    if (options.jsonl) await reader.stream(meta)
    else if (options.json) await printJson(await reader.toJson(meta))
    else await reader.print(meta)
  })
}

/** A session and, with --children, everything it started, depth first. Links are data: each session is entered once. */
class ShowReader {
  readonly #sessions: Sessions
  readonly #options: ShowOptions
  readonly #signal: AbortSignal
  readonly #entered = new Set<string>()

  constructor(sessions: Sessions, options: ShowOptions, signal: AbortSignal) {
    this.#sessions = sessions
    this.#options = options
    this.#signal = signal
  }

  async toJson(meta: SessionMeta): Promise<object> {
    this.#entered.add(meta.id)
    const branch = await branchOf(this.#sessions, meta, this.#options)
    const result = await this.#read(meta, branch)
    const tree = treeIn(result)
    const links = await this.#linksOf(meta, await findChildLinks(this.#sessions, tree))
    const messages = shownOf(tree, branch).map((message) => messageJson(message, branch.active))
    const { copies, issues } = await this.#compare(meta)
    const end = { copies, issues: [...issuesIn(result), ...issues], reports: result.reports }
    const shown = { ...headJson(meta, tree), messages, ...endJson(links, end) }
    if (this.#options.children !== true) return shown
    const children: object[] = []
    for (const child of this.#following(meta, links)) children.push(await this.toJson(child))
    return { ...shown, children }
  }

  async stream(meta: SessionMeta): Promise<void> {
    this.#entered.add(meta.id)
    const issues: StageIssue[] = []
    const reports: StageReport[] = []
    const children = new Map<SessionId, ChildLink>()
    let isFirst = true
    const branch = await branchOf(this.#sessions, meta, this.#options)
    for await (const page of this.#pages(meta, branch)) {
      const tree = treeIn(page)
      if (isFirst) await printJson({ type: 'session', ...headJson(meta, tree) })
      isFirst = false
      for (const message of shownOf(tree, branch))
        await printJson({ type: 'message', ...ofSession(meta.key), ...messageJson(message, branch.active) })
      addLinks(children, await findChildLinks(this.#sessions, tree))
      issues.push(...issuesIn(page))
      reports.push(...page.reports)
    }
    const links = await this.#linksOf(meta, [...children.values()])
    const compared = await this.#compare(meta)
    const end = { copies: compared.copies, issues: [...issues, ...compared.issues], reports }
    await printJson({ type: 'end', ...ofSession(meta.key), ...endJson(links, end) })
    for (const child of this.#following(meta, links)) await this.stream(child)
  }

  async print(meta: SessionMeta): Promise<void> {
    this.#entered.add(meta.id)
    const { index } = this.#sessions
    const branch = await branchOf(this.#sessions, meta, this.#options)
    const result = await this.#read(meta, branch)
    const tree = treeIn(result)
    const messages = shownOf(tree, branch)
    const links = await this.#linksOf(meta, await findChildLinks(this.#sessions, tree))
    const { copies, issues } = await this.#compare(meta)
    const total = await index.messageCount(meta.key)
    const counts = { total, branch: this.#options.branch === 'active' ? (branch.active?.size ?? total) : total, shown: messages.length }
    await print(sessionText(meta, await index.usage(meta.key), counts, links.parent, copies))
    for (const message of messages) await print(messageText(message, branch.active))
    for (const issue of [...issuesIn(result), ...issues]) await print(issueText(issue))
    const text = linksText(links)
    if (text !== '') await print(text)
    for (const child of this.#following(meta, links)) await this.print(child)
  }

  #read(meta: SessionMeta, { last }: Branch): Promise<FlowResult<SessionHydratedTree>> {
    const { native } = this.#options
    const request = { session: meta.key, signal: this.#signal, ...(native && { native }), ...(last !== undefined && { messages: { last } }) }
    return runSessionTreeFlow(this.#sessions, request)
  }

  async *#pages(meta: SessionMeta, branch: Branch): AsyncGenerator<FlowResult<SessionHydratedTree>> {
    const { native } = this.#options
    if (branch.last !== undefined) yield await this.#read(meta, branch)
    else yield* runSessionFlow(this.#sessions, { session: meta.key }, { output: 'messages', signal: this.#signal, ...(native && { native }) })
  }

  /** Reads every copy, so not for a window. A copy that cannot be read is an issue beside what is shown. */
  async #compare({ key, hides }: SessionMeta): Promise<{ readonly copies: Copies; readonly issues: readonly StageIssue[] }> {
    if (hides.length === 0 || this.#options.last !== undefined) return { copies: undefined, issues: [] }
    try {
      return { copies: await compareCopies(this.#sessions, key), issues: [] }
    } catch (error) {
      if (!(error instanceof StorageError)) throw error
      const { code, path, reason, retryable } = error
      return { copies: undefined, issues: [{ code, reason, ...(path !== undefined && { path }), ...(retryable && { transient: true }) }] }
    }
  }

  async #linksOf({ key, parent }: SessionMeta, children: readonly ChildLink[]): Promise<Links> {
    return parent === undefined
      ? { children }
      : { parent: { session: parent, missing: !(await this.#isThere({ ...key, session: parent })) }, children }
  }

  async #isThere(key: SessionKey): Promise<boolean> {
    try {
      await this.#sessions.locate(key)
      return true
    } catch (error) {
      if (error instanceof StorageError && error.code === 'NOT_FOUND') return false
      throw error
    }
  }

  /** The children to go on with, as far as they exist and were not entered meanwhile. */
  *#following({ key }: SessionMeta, { children }: Links): Generator<SessionMeta> {
    if (this.#options.children !== true) return
    for (const { session, missing } of children) {
      const child = this.#sessions.index.session({ ...key, session })
      if (child !== undefined && !missing && !this.#entered.has(session)) yield child
    }
  }
}

function shownOf({ messages }: SessionHydratedTree, branch: Branch): SessionHydratedTree['messages'] {
  return messages.filter(({ key }) => branch.shows(key.message))
}
