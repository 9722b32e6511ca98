/**
 * A session whose own record is damaged or tells too little, rebuilt from its first messages.
 * docs/formats.md has what comes from where. What a record says itself is never changed.
 */
import type { Clock } from '../../core/clock.js'
import { StorageError } from '../../core/errors.js'
import { FORMATS } from '../../core/formats.js'
import { idTime, type ProjectId } from '../../core/ids.js'
import { type MessageKey, messageKey } from '../../core/keys.js'
import type { Message, SessionRecord } from '../../core/records.js'
import type { SessionCopy } from '../../storage/merged.js'
import { Slab } from '../../storage/slab.js'
import { parseSpan } from '../../storage/span.js'
import type { MessageEntry, Store } from '../../storage/store.js'

/** Messages opened at most; what these do not tell stays unknown. */
const MOST_MESSAGES = 8

/**
 * An intact record without a directory gets the one its messages name; a damaged one is made anew.
 * Undefined when the record is damaged and the session has no messages.
 * Opens a few messages of the session, never a part. A store that cannot be read leaves what was found until then.
 * @throws StorageError that is retryable: a moment later more may be found
 */
export async function rebuildRecord({ store, entry }: SessionCopy, clock: Clock): Promise<SessionRecord | undefined> {
  const { key, project, record } = entry
  if (record !== undefined && record.directory !== '') return record
  const clues: Clues = { messages: [], directory: undefined, title: undefined, time: undefined }
  try {
    const { entries, issues } = await store.messages(key)
    const [unlisted] = entries.length === 0 ? issues : []
    if (unlisted !== undefined) throw new StorageError('STORE_NOT_READY', { reason: unlisted.reason, path: unlisted.path })
    clues.messages = entries
    const enough = ({ directory, title }: Clues): boolean => directory !== undefined && (record !== undefined || title !== undefined)
    for await (const message of firstMessages(store, clues.messages, (id) => messageKey(key, id))) {
      look(message, clues)
      if (enough(clues)) break
    }
  } catch (error) {
    if (!(error instanceof StorageError) || error.retryable) throw error
  }
  const { directory = '', title = '', messages } = clues
  if (record !== undefined) return directory === '' ? record : { ...record, directory }
  const [first] = messages
  if (first === undefined) return undefined
  const near = clues.time ?? (first.created || clock.now())
  const times = messages.map(({ id, created }) => (store.supports.recordedTime ? created : (idTime(id, near) ?? created)))
  const oldest = times.reduce((a, b) => Math.min(a, b), idTime(key.session, near) ?? Number.POSITIVE_INFINITY)
  const updated = times.reduce((a, b) => Math.max(a, b))
  return { id: key.session, projectID: project as ProjectId, directory, title, version: '', time: { created: oldest, updated } }
}

interface Clues {
  messages: readonly MessageEntry[]
  directory: string | undefined
  title: string | undefined
  /** When a message was made, by its own record: it tells which lap the ids are of. */
  time: number | undefined
}

/** The records of the first messages; damaged ones are passed over. */
async function* firstMessages(
  store: Store,
  entries: readonly MessageEntry[],
  keyOf: (id: MessageEntry['id']) => MessageKey,
): AsyncGenerator<Message> {
  if (entries.length === 0) return
  const format = FORMATS[store.format]
  using slab = new Slab()
  for (const { id } of entries.slice(0, MOST_MESSAGES)) {
    const key = keyOf(id)
    const [leaf] = await store.open([{ kind: 'message', key }], slab)
    if (leaf?.span === undefined) continue
    const document = parsed(() => parseSpan(leaf.span))
    const reading = format.message(document, key, leaf.span.source.type)
    if ('record' in reading) yield reading.record.message
  }
}

/** Undefined for damage, which no format takes for a message. */
function parsed(parse: () => unknown): unknown {
  try {
    return parse()
  } catch (error) {
    if (error instanceof StorageError) return undefined
    throw error
  }
}

function look(message: Message, clues: Clues): void {
  if (message.role === 'unknown') return
  clues.time ??= message.time.created
  if (message.role === 'assistant') clues.directory ??= textOf(message.path?.cwd) ?? textOf(message.path?.root)
  else clues.title ??= textOf(message.summary?.title)
}

/** Documents are typed by their essential fields alone: these may hold anything. */
function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}
