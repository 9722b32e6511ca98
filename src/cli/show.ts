/** spanleaf show: a session with its messages and parts. */
import type { Command } from 'commander'
import {
  type FlowResult,
  type MessageNode,
  type Part,
  runSessionFlow,
  runSessionTreeFlow,
  type SessionHydratedTree,
  type SessionMeta,
  type Sessions,
  type StageIssue,
  type StageReport,
} from '../index.js'
import { type CommonOptions, command, sessionMeta, wholeNumber, withSessions } from './command.js'
import { clip, print, printJson } from './output.js'
import { messageText, sessionText } from './show-text.js'

interface ShowOptions extends CommonOptions {
  readonly last?: number
  readonly children?: boolean
  readonly jsonl?: boolean
}

export function showCommand(signal: AbortSignal): Command {
  return command('show', 'show a session')
    .argument('<id>', 'the id of the session')
    .option('--last <n>', 'only its last messages', wholeNumber)
    .option('--children', 'the sessions it started too')
    .option('--jsonl', 'record by record, for sessions of any size: session, messages, end')
    .action((id: string, options: ShowOptions) => show(id, options, signal))
}

async function show(id: string, options: ShowOptions, signal: AbortSignal): Promise<void> {
  await withSessions(options, signal, async (sessions) => {
    const meta = await sessionMeta(sessions, id)
    const family = options.children === true ? familyOf(sessions, meta) : [meta]
    if (options.jsonl) for (const member of family) await streamRecords(sessions, member, options, signal)
    else if (options.json) await printJson(await toJson(sessions, meta, options, signal))
    else for (const member of family) await showText(sessions, member, options, signal)
  })
}

/** The session and everything it started, depth first. Parent links are data: a circle is entered once. */
function familyOf(sessions: Sessions, meta: SessionMeta, seen: Set<string> = new Set()): SessionMeta[] {
  if (seen.has(meta.id)) return []
  seen.add(meta.id)
  return [meta, ...sessions.index.children(meta.key).flatMap((child) => familyOf(sessions, child, seen))]
}

async function read(sessions: Sessions, meta: SessionMeta, options: ShowOptions, signal: AbortSignal): Promise<Loaded> {
  const window = options.last === undefined ? {} : { messages: { last: options.last } }
  return loaded(await runSessionTreeFlow(sessions, { session: meta.key, signal, ...window }))
}

interface Loaded {
  readonly tree: SessionHydratedTree
  readonly issues: readonly StageIssue[]
  readonly reports: readonly StageReport[]
}

function loaded(result: FlowResult<SessionHydratedTree>): Loaded {
  if (result.status === 'failed') throw result.error
  return { tree: result.value, issues: result.status === 'partial' ? result.issues : [], reports: result.reports }
}

async function toJson(
  sessions: Sessions,
  meta: SessionMeta,
  options: ShowOptions,
  signal: AbortSignal,
  above: readonly string[] = [],
): Promise<object> {
  const { tree, issues, reports } = await read(sessions, meta, options, signal)
  const session = { session: tree.session ?? { id: meta.id }, messages: tree.messages.map(messageJson), issues, report: mergeReports(reports) }
  if (options.children !== true) return session
  const inside = [...above, meta.id]
  const children: object[] = []
  for (const child of sessions.index.children(meta.key)) {
    if (!inside.includes(child.id)) children.push(await toJson(sessions, child, options, signal, inside))
  }
  return { ...session, children }
}

/** As `opencode export` has it. A damaged message stands with its ids alone. */
function messageJson({ key, message, parts }: MessageNode): object {
  const info = message === undefined ? { id: key.message, sessionID: key.session } : message.role === 'unknown' ? message.raw : message
  return { info, parts: parts.map(partJson), ...(message === undefined && { damaged: true }) }
}

function partJson(part: Part): object {
  return part.type === 'unknown' ? part.raw : part
}

/** One account of all stages: `stages` holds each. */
function mergeReports(reports: readonly StageReport[]): object {
  const sum = (pick: (report: StageReport) => number): number => reports.reduce((total, report) => total + pick(report), 0)
  const resolved = reports.filter(({ stage }) => stage === 'resolve')
  const read = (pick: (report: StageReport) => number): number => resolved.reduce((total, report) => total + pick(report), 0)
  return {
    durationMs: sum(({ durationMs }) => durationMs),
    files: read(({ files }) => files),
    rows: read(({ rows }) => rows),
    bytes: read(({ bytes }) => bytes),
    records: read(({ records }) => records),
    stages: reports,
  }
}

async function streamRecords(sessions: Sessions, meta: SessionMeta, options: ShowOptions, signal: AbortSignal): Promise<void> {
  const issues: StageIssue[] = []
  const reports: StageReport[] = []
  let first = true
  const pages =
    options.last === undefined
      ? runSessionFlow(sessions, { session: meta.key }, { output: 'messages', signal })
      : [await tail(sessions, meta, options, signal)]
  for await (const page of pages) {
    const { tree, ...rest } = loaded(page)
    if (first) await printJson({ type: 'session', session: tree.session ?? { id: meta.id } })
    first = false
    for (const message of tree.messages) await printJson({ type: 'message', ...messageJson(message) })
    issues.push(...rest.issues)
    reports.push(...rest.reports)
  }
  await printJson({ type: 'end', session: meta.id, issues, report: mergeReports(reports) })
}

async function tail(sessions: Sessions, meta: SessionMeta, options: ShowOptions, signal: AbortSignal): Promise<FlowResult<SessionHydratedTree>> {
  return runSessionTreeFlow(sessions, { session: meta.key, signal, ...(options.last !== undefined && { messages: { last: options.last } }) })
}

async function showText(sessions: Sessions, meta: SessionMeta, options: ShowOptions, signal: AbortSignal): Promise<void> {
  const { tree, issues } = await read(sessions, meta, options, signal)
  await print(sessionText(meta, await sessions.index.usage(meta.key), await sessions.index.messageCount(meta.key), tree.messages.length))
  for (const message of tree.messages) await print(messageText(message))
  for (const issue of issues) await print(`! ${issue.code}: ${clip(issue.reason)} (${clip(issue.path ?? '')})`)
}
