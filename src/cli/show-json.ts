/** A session as programs read it: docs/schemas/show.schema.json and show-jsonl.schema.json. */
import type {
  Agent,
  ChildLink,
  CopyComparison,
  FlowResult,
  MessageId,
  MessageNode,
  Part,
  SessionHydratedTree,
  SessionId,
  SessionKey,
  SessionMeta,
  StageIssue,
  StageReport,
} from '../index.js'

/** Who started the session, and whom it started. */
export interface Links {
  readonly parent?: { readonly session: SessionId; readonly missing: boolean }
  readonly children: readonly ChildLink[]
}

/** @throws the StorageError of a failed result */
export function treeIn(result: FlowResult<SessionHydratedTree>): SessionHydratedTree {
  if (result.status === 'failed') throw result.error
  return result.value
}

export function issuesIn(result: FlowResult<unknown>): readonly StageIssue[] {
  return result.status === 'partial' ? result.issues : []
}

/** Whose a line is, as `ls --json` names it. */
export function ofSession({ agent, session }: SessionKey): { readonly agent: Agent; readonly session: SessionId } {
  return { agent, session }
}

/** What comes before the messages. */
export function headJson(meta: SessionMeta, { session, native }: SessionHydratedTree): object {
  const { key, id, damaged, source, hides } = meta
  return {
    agent: key.agent,
    session: id,
    info: session === undefined ? rebuilt(meta) : session.directory === '' ? { ...session, directory: meta.directory } : session,
    ...(damaged && { damaged }),
    source,
    hides,
    ...(native !== undefined && { native }),
  }
}

/** What stands in for a damaged record: the record of a hidden copy, or what the messages tell. */
function rebuilt({ id, project, directory, parent, title, version, created, updated }: SessionMeta): object {
  return { id, projectID: project, directory, ...(parent && { parentID: parent }), title, version, time: { created, updated } }
}

/** As `opencode export` has it, and of a log its place in the tree; `active`: the messages of the active branch. A damaged message stands with its ids alone, and with its parts. */
export function messageJson({ key, message, parts, log, native }: MessageNode, active?: ReadonlySet<MessageId>): object {
  const info = message === undefined ? { id: key.message, sessionID: key.session } : message.role === 'unknown' ? message.raw : message
  const tree = log && {
    parent: log.parent ?? null,
    ...(active && { active: active.has(key.message) }),
    ...(log.trait && { trait: log.trait }),
    ...(log.leaf !== undefined && { leaf: log.leaf }),
  }
  return {
    info,
    parts: parts.map(partJson),
    ...(tree && { tree }),
    ...(message === undefined && { damaged: true }),
    ...(native !== undefined && { native }),
  }
}

function partJson(part: Part): object {
  return part.type === 'unknown' ? part.raw : part
}

/** What hidden copies hold besides; undefined where there are none, or where they were not asked. */
export type Copies = readonly CopyComparison[] | undefined

export interface Ending {
  readonly copies: Copies
  readonly issues: readonly StageIssue[]
  readonly reports: readonly StageReport[]
}

/** What comes after the messages. */
export function endJson({ parent, children }: Links, { copies, issues, reports }: Ending): object {
  const links = {
    ...(parent && { parent }),
    children: children.map(({ session, by, part, missing }) => ({
      session,
      by,
      missing,
      ...(part && { message: part.message, part: part.part }),
    })),
  }
  return { links, ...(copies && { copies }), issues, report: mergeReports(reports) }
}

/** Adds the links of one more page of a session: every page has those by parent, and those that its own tools name. */
export function addLinks(links: Map<SessionId, ChildLink>, more: readonly ChildLink[]): void {
  for (const link of more) if (links.get(link.session)?.part === undefined) links.set(link.session, link)
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
