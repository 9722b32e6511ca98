/**
 * Claude Code's logs: `projects/<folder>/<session>.jsonl`, subagents in `<session>/subagents/agent-*.jsonl` or, in older versions,
 * beside the sessions. There is no header: what is light stands on the first lines of the conversation, titles on lines of their own.
 */
import { basename, dirname } from 'node:path'
import { timeIn } from '../../core/agents/message-draft.js'
import { type Document, isDocument } from '../../core/documents.js'
import { isSafeId } from '../../core/ids.js'
import { asks, kindOf, mayAsk } from './claude-kinds.js'
import { awaitLeaf, isBefore, isLeaf, standAt, titlesOf } from './claude-leaves.js'
import { readClaude } from './claude-tree.js'
import { isoTime } from './iso-time.js'
import { timeAround } from './line-times.js'
import type { LogAdapter, LogFile, LogListing, LogMeta, LogSession } from './log-adapter.js'
import { ownId } from './log-chain.js'
import { type FoundFile, filesUnder } from './log-folders.js'
import { promptIn } from './prompt-text.js'
import { Skim } from './skim.js'

export const claudeAdapter: LogAdapter = {
  agent: 'claude',
  kind: 'claude-jsonl',
  format: 'claude',
  list,
  read: readClaude,
  tells,
  describe,
  timeOf,
  timePlace: timeAround,
}

const ENDING = '.jsonl'
const SUBAGENTS = 'subagents'
const AGENT = 'agent-'
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/** The root is the folder of all projects, or that of one. */
function list(root: string): LogListing {
  const { files, issues, leftOut } = filesUnder(root, reasonOf)
  const sessions: LogSession[] = []
  const others = [...leftOut]
  for (const file of files) {
    const session = sessionIn(file, projectOf(file, root))
    if ('reason' in session) others.push({ path: file.path, reason: session.reason })
    else sessions.push(session)
  }
  return { sessions, issues, leftOut: others }
}

/** Of the root itself are logs that stand in it, and those of their subagents. */
function projectOf({ folders }: FoundFile, root: string): string {
  const [folder] = folders
  return folder === undefined || folders.indexOf(SUBAGENTS) === 1 ? basename(root) : folder
}

function reasonOf({ name, folders }: FoundFile): string | undefined {
  if (name === 'tool-results' && folders.length > 0) return 'outputs of tools beside their log'
  return name === 'memory' && folders.length > 0 ? 'notes of the memory' : undefined
}

function sessionIn({ path, name, folders }: FoundFile, project: string): LogSession | { readonly reason: string } {
  if (name === 'sessions-index.json') return { reason: 'an index of sessions' }
  if (name.startsWith(AGENT) && name.endsWith('.meta.json')) return { reason: 'notes on a subagent' }
  if (!name.endsWith(ENDING)) return { reason: 'no log of a session' }
  const stem = name.slice(0, -ENDING.length)
  const files: LogSession['files'] = [{ path, form: 'lines', packed: false }]
  const within = folders.lastIndexOf(SUBAGENTS)
  const parent = within > 0 ? folders[within - 1] : undefined
  if (parent !== undefined && !stem.startsWith(AGENT)) return { reason: 'no log of a session' }
  const id = parent === undefined ? stem : `${parent}.${stem}`
  if (!isSafeId(id)) return { reason: 'its name is no id' }
  return { id, project, files, ...(parent !== undefined && { parent }) }
}

/** Lines of the conversation are looked at until they have told all, but no more than `LOOKED_AT` of them; for a prompt not beyond so many lines. */
const LOOKED_AT = 100
const ASKED_WITHIN = 10_000

function isKnown(meta: LogMeta): boolean {
  const { prompt, notes, entries } = meta
  if (isPlaced(meta) && (prompt !== undefined || entries > ASKED_WITHIN)) return true
  return typeof notes?.looked === 'number' && notes.looked >= LOOKED_AT
}

/** All but a prompt is known: then only what may be one is looked at. */
function isPlaced({ directory, version, model }: LogMeta): boolean {
  return directory !== undefined && version !== undefined && model !== undefined
}

function tells(bytes: Buffer, start: number, end: number, meta: LogMeta, offset = start, until = end): boolean {
  const kind = kindOf(bytes, start, end)
  if (kind !== 'spoken') {
    if (kind === 'title') standAt(bytes, start, offset)
    return kind === 'title'
  }
  return (!isKnown(meta) && (!isPlaced(meta) || mayAsk(bytes, start, end))) || isLeaf(bytes, start, end, meta, offset, until)
}

function describe(line: Document, meta: LogMeta, file: LogFile): void {
  switch (line.type) {
    case 'custom-title':
      entitle(line.customTitle, 3, meta)
      return
    case 'ai-title':
      entitle(line.aiTitle, 2, meta)
      return
    case 'summary':
      summarize(line, meta, file)
      return
    case 'tag':
      if (typeof line.tag === 'string' && line.tag !== '') meta.tag = line.tag
      else delete meta.tag
      return
    default:
      describeSpoken(line, meta, file)
  }
}

function summarize({ summary, leafUuid }: Document, meta: LogMeta, { path }: LogFile): void {
  const leaf = ownId(leafUuid)
  if (leaf === undefined || (meta.notes?.looked !== undefined && isBefore(leaf, path, meta))) entitle(summary, 1, meta)
  else if (typeof summary === 'string' && summary.trim() !== '') awaitLeaf(leaf, summary, meta)
}

/** The newest title of the highest rank: one that somebody gave, one that was made for the session, one of a branch. */
function entitle(title: unknown, rank: number, meta: LogMeta): void {
  const held = typeof meta.notes?.rank === 'number' ? meta.notes.rank : 0
  if (typeof title !== 'string' || title.trim() === '' || rank < held) return
  meta.title = title
  meta.notes = { ...meta.notes, rank }
}

function describeSpoken(line: Document, meta: LogMeta, { path }: LogFile): void {
  for (const title of titlesOf(line, meta)) entitle(title, 1, meta)
  // Which of the later lines are given goes by the pieces that the log comes in: they say nothing else.
  if (isKnown(meta) || (isPlaced(meta) && !asks(line))) return
  const looked = typeof meta.notes?.looked === 'number' ? meta.notes.looked : 0
  meta.notes = { ...meta.notes, looked: looked + 1 }
  const isAgent = basename(path).startsWith(AGENT)
  if (meta.id === undefined) identify(line, meta, path, isAgent)
  if (looked === 0) noteOrigin(line, meta, path)
  const time = timeIn(line.timestamp)
  if (time !== undefined) meta.created ??= time
  if (typeof line.cwd === 'string' && line.cwd !== '') meta.directory ??= line.cwd
  if (typeof line.version === 'string') meta.version ??= line.version
  const fork = isDocument(line.forkedFrom) ? ownId(line.forkedFrom.sessionId) : undefined
  if (fork !== undefined) meta.fork ??= fork
  const { message } = line
  if (!isDocument(message) || (line.isSidechain === true && !isAgent)) return
  const { model } = message
  if (typeof model === 'string' && model !== '' && !model.startsWith('<')) meta.model ??= { id: model, providerID: 'anthropic' }
  const isAsked = (line.type ?? message.role) === 'user' && line.isMeta !== true && line.isCompactSummary !== true
  const prompt = isAsked && meta.prompt === undefined ? promptIn(message.content, isTyped) : undefined
  if (prompt !== undefined) meta.prompt = prompt
}

/** What the program itself puts where a prompt stands. */
const NOT_TYPED = /^\s*(<(command-|local-command|bash-|system-reminder|task-notification)|Caveat: The messages below|\[Request interrupted)/

function isTyped(text: string): boolean {
  return !NOT_TYPED.test(text)
}

/** The file's name is the session's id, but for names that are no uuid, and for subagents, whose lines name their parent. */
function identify(line: Document, meta: LogMeta, path: string, isAgent: boolean): void {
  const stem = basename(path).slice(0, -ENDING.length)
  const sessionId = ownId(line.sessionId)
  if (sessionId === undefined || UUID.test(stem)) return
  if (!isAgent) meta.id = sessionId
  else if (!dirname(path).split(/[\\/]/).includes(SUBAGENTS)) {
    meta.parent = sessionId
    meta.id = `${sessionId}.${stem}`
  }
}

/** A log that begins with lines of another session goes on from that one. */
function noteOrigin(line: Document, meta: LogMeta, path: string): void {
  const sessionId = ownId(line.sessionId)
  const stem = basename(path).slice(0, -ENDING.length)
  if (sessionId !== undefined && sessionId.toLowerCase() !== stem.toLowerCase() && UUID.test(stem)) meta.fork ??= sessionId
}

const TIME = new Skim({ timestamp: 0 })

function timeOf(bytes: Buffer, start: number, end: number): number | undefined {
  TIME.run(bytes, start, end)
  return isoTime(bytes, TIME.from[0] as number, TIME.to[0] as number)
}
