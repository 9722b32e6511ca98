/**
 * jcode's sessions: a snapshot `<id>.json`, which is rewritten as a whole, and a journal `<id>.journal.jsonl` of what came after it.
 * Each line of the journal has all the light fields anew; the newest ones count.
 */
import { join } from 'node:path'
import { timeIn } from '../../core/agents/message-draft.js'
import { type Document, isDocument } from '../../core/documents.js'
import { isSafeId } from '../../core/ids.js'
import { isFolder, isOrMayBe } from '../file-type.js'
import { isoTime } from './iso-time.js'
import { rescueJcode } from './jcode-rescue.js'
import { splitJcode } from './jcode-split.js'
import { readJcodeLine } from './jcode-tree.js'
import type { LogAdapter, LogFile, LogListing, LogMeta, LogSession } from './log-adapter.js'
import { ownId } from './log-chain.js'
import { filesUnder, isSecretName } from './log-folders.js'
import { promptIn } from './prompt-text.js'
import { Skim } from './skim.js'

export const jcodeAdapter: LogAdapter = {
  agent: 'jcode',
  kind: 'jcode-journal',
  format: 'jcode',
  list,
  read: readJcodeLine,
  tells,
  describe,
  timeOf,
  split: splitJcode,
  rescue: rescueJcode,
}

const SNAPSHOT = '.json'
const JOURNAL = '.journal.jsonl'

/**
 * `root`: the home of jcode, which holds `sessions`, or that folder.
 * @throws StorageError STORE_UNREADABLE when the root itself cannot be listed
 */
function list(root: string): LogListing {
  const inside = join(root, 'sessions')
  const { files, issues, leftOut } = filesUnder(isOrMayBe(() => isFolder(inside)) ? inside : root, () => 'no folder of sessions')
  const found = new Map<string, { snapshot?: LogFile; journal?: LogFile }>()
  const left = [...leftOut]
  for (const { path, name } of files) {
    const isJournal = name.endsWith(JOURNAL)
    const id = name.slice(0, isJournal ? -JOURNAL.length : -SNAPSHOT.length)
    const reason = reasonOf(name) ?? (isSafeId(id) ? undefined : 'its name is no id')
    if (reason !== undefined) {
      left.push({ path, reason })
      continue
    }
    const session = found.get(id) ?? {}
    found.set(id, session)
    if (isJournal) session.journal = { path, form: 'lines', packed: false }
    else session.snapshot = { path, form: 'document', packed: false }
  }
  const sessions = [...found].map(([id, { snapshot, journal }]): LogSession => {
    const files = [snapshot, snapshot === undefined ? journal : journalOf(snapshot)].filter((file) => file !== undefined)
    const [, begun] = /_(\d{13})(_|$)/.exec(id) ?? []
    return { id, project: '', files, ...(begun !== undefined && { created: Number(begun) }) }
  })
  return { sessions, issues, leftOut: left }
}

/** The journal goes with every snapshot, and comes with what is said next. */
function journalOf({ path }: LogFile): LogFile {
  return { path: `${path.slice(0, -SNAPSHOT.length)}${JOURNAL}`, form: 'lines', packed: false, optional: true }
}

/** Why a file is not read. */
function reasonOf(name: string): string | undefined {
  if (isSecretName(name)) return 'a secret, as its name says'
  if (name.endsWith('.corrupt.jsonl')) return 'a copy of a damaged journal'
  if (/\.pre-wipe-.*\.bak$/.test(name)) return 'a copy from before a session was emptied'
  if (name.endsWith('.bak')) return 'a backup'
  return name.endsWith(JOURNAL) || name.endsWith(SNAPSHOT) ? undefined : 'no file of a session'
}

const META = Buffer.from('{"meta":')

function tells(bytes: Buffer, start: number, end: number): boolean {
  if (end - start < META.length) return false
  for (let at = 0; at < META.length; at++) if (bytes[start + at] !== META[at]) return false
  return true
}

const times = new Skim({ timestamp: 0, meta: { updated_at: 1 } })

function timeOf(bytes: Buffer, start: number, end: number): number | undefined {
  times.run(bytes, start, end)
  const slot = times.has(1) ? 1 : 0
  return isoTime(bytes, times.from[slot] as number, times.to[slot] as number)
}

/** Given is a snapshot without its long lists, or a line of a journal. */
function describe(document: Document, meta: LogMeta, { form }: LogFile): void {
  const isLine = form === 'lines'
  const light = isLine ? (isDocument(document.meta) ? document.meta : {}) : document
  describePrompt(isLine ? document.append_messages : document.messages, meta)
  // A journal that should have gone with the last snapshot is older than that.
  const written = timeIn(light.updated_at)
  const before = meta.notes?.written
  if (written !== undefined && typeof before === 'number' && written < before) return
  if (written !== undefined) meta.notes = { ...meta.notes, written }
  describeNames(light, meta)
  describeRest(light, meta)
  const times = [written, timeIn(light.last_active_at), meta.updated].filter((time) => time !== undefined)
  if (times.length > 0) meta.updated = Math.max(...times)
}

function describeNames({ id, title, custom_title, saved, save_label, parent_id }: Document, meta: LogMeta): void {
  const own = ownId(id)
  if (own !== undefined) meta.id ??= own
  const name = textIn(custom_title) ?? textIn(title)
  if (name !== undefined) meta.title = name
  const label = textIn(save_label) ?? (saved === true ? 'saved' : undefined)
  if (label !== undefined) meta.label = label
  else if (saved === false) delete meta.label
  const parent = ownId(parent_id)
  if (parent !== undefined) meta.parent = parent
}

function describeRest({ model, provider_key, working_dir, created_at, status }: Document, meta: LogMeta): void {
  const name = textIn(model)
  if (name !== undefined) meta.model = { id: name, providerID: textIn(provider_key) ?? 'unknown' }
  const directory = textIn(working_dir)
  if (directory !== undefined) meta.directory = directory
  const created = timeIn(created_at)
  if (created !== undefined) meta.created ??= created
  // `"Closed"`, or `{"Crashed": {...}}`
  const word = isDocument(status) ? Object.keys(status)[0] : textIn(status)
  if (word !== undefined) meta.notes = { ...meta.notes, status: word }
}

function describePrompt(messages: unknown, meta: LogMeta): void {
  if (meta.prompt !== undefined || !Array.isArray(messages)) return
  for (const message of messages) {
    if (!isDocument(message) || message.role !== 'user' || typeof message.display_role === 'string') continue
    const prompt = promptIn(message.content, (text) => !text.trimStart().startsWith('<system-reminder>'))
    if (prompt === undefined) continue
    meta.prompt = prompt
    return
  }
}

function textIn(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}
