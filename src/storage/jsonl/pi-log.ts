/**
 * pi's logs: `sessions/--<cwd>--/<time>_<session>.jsonl`. The first line is a header; names, labels and models stand on lines of
 * their own.
 */
import { basename } from 'node:path'
import { timeIn } from '../../core/agents/message-draft.js'
import { type Document, isDocument } from '../../core/documents.js'
import { isoTime } from './iso-time.js'
import { begins } from './json-bytes.js'
import { timeAhead } from './line-times.js'
import type { LogAdapter, LogListing, LogMeta, LogSession } from './log-adapter.js'
import { ownId } from './log-chain.js'
import { type FoundFile, filesUnder } from './log-folders.js'
import { readPi } from './pi-tree.js'
import { promptIn } from './prompt-text.js'
import { Skim } from './skim.js'

export const piAdapter: LogAdapter = {
  agent: 'pi',
  kind: 'pi-jsonl',
  format: 'pi',
  list,
  read: readPi,
  tells,
  describe,
  timeOf,
  timePlace: timeAhead,
}

const ENDING = '.jsonl'
/** What the Rust port of pi keeps its sessions in beside logs, or instead of them. */
const OTHER_STORE = 'a session store of another version'

/** The root is the folder of all sessions, or that of one working directory. */
function list(root: string): LogListing {
  const { files, issues, leftOut } = filesUnder(root, ({ name }) => (name.endsWith('.v2') ? OTHER_STORE : undefined))
  const sessions: LogSession[] = []
  const others = [...leftOut]
  for (const file of files) {
    const session = sessionIn(file, file.folders[0] ?? basename(root))
    if ('reason' in session) others.push({ path: file.path, reason: session.reason })
    else sessions.push(session)
  }
  return { sessions, issues, leftOut: others }
}

function sessionIn({ path, name }: FoundFile, project: string): LogSession | { readonly reason: string } {
  if (/^session-index\./.test(name)) return { reason: 'an index of sessions' }
  if (/\.(sqlite3?|db)(-wal|-shm|-journal)?$/.test(name)) return { reason: OTHER_STORE }
  if (!name.endsWith(ENDING)) return { reason: 'no log of a session' }
  const id = idIn(name)
  return id === undefined ? { reason: 'its name is no id' } : { id, project, files: [{ path, form: 'lines', packed: false }] }
}

/** The id stands behind the time. */
function idIn(name: string): string | undefined {
  const stem = name.endsWith(ENDING) ? name.slice(0, -ENDING.length) : name
  const id = /^\d{4}-\d{2}-\d{2}T[\d-]+Z_(.+)$/.exec(stem)?.[1] ?? stem
  return ownId(id)
}

/** Messages are looked at until they have told what was asked first, and the model, but no more than `LOOKED_AT` of them. */
const LOOKED_AT = 100

function isKnown({ prompt, model, notes }: LogMeta): boolean {
  return (prompt !== undefined && model !== undefined) || (typeof notes?.looked === 'number' && notes.looked >= LOOKED_AT)
}

const TYPE_FIRST = Buffer.from('{"type":"')
const MESSAGE = Buffer.from('message"')
const LIGHT = ['session"', 'session_info"', 'label"', 'model_change"'].map((text) => Buffer.from(text))
const TYPE = new Skim({ type: 0 })

function tells(bytes: Buffer, start: number, end: number, meta: LogMeta): boolean {
  let name = start + TYPE_FIRST.length
  if (!begins(bytes, start, end, TYPE_FIRST)) {
    TYPE.run(bytes, start, end)
    name = TYPE.has(0) ? (TYPE.from[0] as number) + 1 : end
  }
  if (begins(bytes, name, end, MESSAGE)) return !isKnown(meta)
  for (const type of LIGHT) if (begins(bytes, name, end, type)) return true
  return false
}

function describe(entry: Document, meta: LogMeta): void {
  switch (entry.type) {
    case 'session':
      describeHeader(entry, meta)
      return
    case 'session_info':
      if (typeof entry.name === 'string' && entry.name.trim() !== '') meta.title = entry.name
      else delete meta.title
      return
    case 'label':
      label(entry, meta)
      return
    case 'model_change':
      setModel(entry.modelId, entry.provider, meta)
      return
    default:
      describeMessage(entry, meta)
  }
}

function describeHeader({ id, timestamp, cwd, version, provider, modelId, parentSession, branchedFrom }: Document, meta: LogMeta): void {
  const time = timeIn(timestamp)
  if (time !== undefined) meta.created ??= time
  const own = ownId(id)
  if (own !== undefined) meta.id ??= own
  if (typeof cwd === 'string') meta.directory ??= cwd
  meta.version ??= typeof version === 'number' || typeof version === 'string' ? String(version) : '1'
  const origin = typeof parentSession === 'string' ? parentSession : branchedFrom
  const fork = typeof origin === 'string' ? idIn(origin.split(/[\\/]/).at(-1) ?? '') : undefined
  if (fork !== undefined) meta.fork ??= fork
  setModel(modelId, provider, meta)
}

function setModel(id: unknown, providerID: unknown, meta: LogMeta): void {
  if (typeof id === 'string' && id !== '') meta.model = { id, providerID: typeof providerID === 'string' ? providerID : '' }
}

/** Labels mark entries; the newest one that was not taken away marks the session. */
function label({ targetId, label: text }: Document, meta: LogMeta): void {
  const held = Array.isArray(meta.notes?.labels) ? (meta.notes.labels as readonly (readonly [string, string])[]) : []
  const marked = typeof targetId === 'string' ? targetId : ''
  const others = held.filter(([target]) => target !== marked)
  const labels = typeof text === 'string' && text !== '' ? [...others, [marked, text] as const] : others
  meta.notes = { ...meta.notes, labels: labels.slice(-LABELS) }
  const newest = labels.at(-1)
  if (newest === undefined) delete meta.label
  else meta.label = newest[1]
}

/** So many labels are remembered, for the case that newer ones are taken away. */
const LABELS = 32

function describeMessage({ timestamp, message }: Document, meta: LogMeta): void {
  const looked = typeof meta.notes?.looked === 'number' ? meta.notes.looked : 0
  meta.notes = { ...meta.notes, looked: looked + 1 }
  const time = timeIn(timestamp)
  if (time !== undefined) meta.created ??= time
  if (!isDocument(message)) return
  if (message.role === 'assistant' && meta.model === undefined) setModel(message.model, message.provider, meta)
  const prompt = message.role === 'user' && meta.prompt === undefined ? promptIn(message.content) : undefined
  if (prompt !== undefined) meta.prompt = prompt
}

const TIME = new Skim({ timestamp: 0 })

function timeOf(bytes: Buffer, start: number, end: number): number | undefined {
  TIME.run(bytes, start, end)
  return isoTime(bytes, TIME.from[0] as number, TIME.to[0] as number)
}
