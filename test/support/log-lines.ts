/** Logs in memory: their lines fed to an adapter, and the messages that come of it put together. */
import { isDeepStrictEqual } from 'node:util'
import { crc32 } from 'node:zlib'
import type { MessageLine } from '../../src/core/agents/message-draft.js'
import type { Reading } from '../../src/core/documents.js'
import type { RecordFormat } from '../../src/core/formats.js'
import { parseSessionId } from '../../src/core/ids.js'
import { type Agent, messageKey, sessionKey } from '../../src/core/keys.js'
import type { MessageReading } from '../../src/core/records.js'
import type { LogAdapter, LogFile, LogMeta } from '../../src/storage/jsonl/log-adapter.js'
import { LogIndex, type LogLine, type LogMessage } from '../../src/storage/jsonl/log-index.js'

/** Documents as the lines of a log. A text is a line as it stands. */
export function linesOf(...documents: readonly unknown[]): string {
  return documents.map((document) => `${typeof document === 'string' ? document : JSON.stringify(document)}\n`).join('')
}

export interface LineRange {
  readonly start: number
  readonly end: number
  /** Counted from 1. */
  readonly number: number
}

/** The lines that are not blank, a last one without its line break too. */
export function rangesOf(bytes: Buffer): readonly LineRange[] {
  const ranges: LineRange[] = []
  let number = 0
  for (let start = 0; start < bytes.length; ) {
    const found = bytes.indexOf(0x0a, start)
    const after = found < 0 ? bytes.length : found
    const end = bytes[after - 1] === 0x0d ? after - 1 : after
    number++
    if (bytes.toString('latin1', start, end).trim() !== '') ranges.push({ start, end, number })
    start = after + 1
  }
  return ranges
}

/** Feeds the lines that begin at `from` or after it, up to `to`. */
export function feed(adapter: LogAdapter, log: string | Buffer, index = new LogIndex(), from = 0, to = Number.POSITIVE_INFINITY): LogIndex {
  const bytes = bytesOf(log)
  for (const { start, end, number } of rangesOf(bytes)) {
    if (start < from || start >= to) continue
    const crc = crc32(bytes.subarray(start, end))
    adapter.read(bytes, start, end, { file: 0, offset: start, length: end - start, line: number, crc }, index)
  }
  return index
}

export interface Assembled {
  readonly message: LogMessage
  readonly reading: Reading<MessageReading>
}

/** What every message of the index reads as; damage where none of its own lines can be parsed. */
export function assembleAll(format: RecordFormat, log: string | Buffer, index: LogIndex, agent: Agent = 'claude'): readonly Assembled[] {
  const bytes = bytesOf(log)
  const session = sessionKey(agent, parseSessionId('session'))
  return index.messages.map((message) => {
    const lines = message.lines.flatMap((line): MessageLine[] => {
      const document = parsed(bytes, line)
      return document === undefined ? [] : [{ document, use: line.use }]
    })
    const key = messageKey(session, message.id)
    const own = lines.some(({ use }) => use === 'own')
    const reading = own && format.assemble !== undefined ? format.assemble(lines, key) : { damage: 'no line of it can be parsed' }
    return { message, reading }
  })
}

/** The light fields that the lines tell of: `tells` and `describe` as a listing calls them. */
export function describeAll(adapter: LogAdapter, log: string | Buffer, path = '/root/project/session.jsonl'): LogMeta {
  const bytes = bytesOf(log)
  const file: LogFile = { path, form: 'lines', packed: false }
  const meta: LogMeta = { entries: 0 }
  for (const { start, end } of rangesOf(bytes)) {
    meta.entries++
    if (!adapter.tells(bytes, start, end, meta)) continue
    const document = parsed(bytes, { offset: start, length: end - start })
    if (typeof document === 'object' && document !== null && !Array.isArray(document)) {
      adapter.describe(document as Record<string, unknown>, meta, file)
    }
  }
  return meta
}

function bytesOf(log: string | Buffer): Buffer {
  return typeof log === 'string' ? Buffer.from(log) : log
}

function parsed(bytes: Buffer, { offset, length }: Pick<LogLine, 'offset' | 'length'>): unknown {
  try {
    return JSON.parse(bytes.toString('utf8', offset, offset + length))
  } catch {
    return undefined
  }
}

/**
 * Feeds the log up to `cut` (an offset where a line begins), goes on with what a cursor remembers, and holds that against an index
 * of the whole log, up to `to`. Returns why the resumed index gave up, undefined when it did not; every difference is named.
 */
export function resumeAt(
  adapter: LogAdapter,
  log: string | Buffer,
  cut: number,
  to = Number.POSITIVE_INFINITY,
): { readonly lost: string | undefined; readonly differences: unknown[] } {
  const bytes = bytesOf(log)
  const whole = feed(adapter, bytes, new LogIndex(), 0, to)
  const before = feed(adapter, bytes, new LogIndex(), 0, cut)
  const openBefore = new Map(before.messages.map(({ id, open }) => [id, open]))
  // As a cursor that was written down.
  const resumed = feed(adapter, bytes, new LogIndex(JSON.parse(JSON.stringify(before.memory()))), cut, to)
  if (resumed.lost !== undefined) return { lost: resumed.lost, differences: [] }
  const left = leavesMoved(adapter, bytes, feed(adapter, bytes, new LogIndex(), 0, cut), cut, to)
  const changed = whole.messages.filter(
    ({ id, lines, open }) => lines.some(({ offset }) => offset >= cut) || (openBefore.has(id) && openBefore.get(id) !== open) || left.has(id),
  )
  const [expected, actual] = [plainMessages(changed), plainMessages(resumed.takeTouched())]
  const differences: unknown[] = isDeepStrictEqual(actual, expected) ? [] : [{ expected, actual }]
  if (resumed.count !== whole.count) differences.push({ count: [whole.count, resumed.count] })
  for (const [reason, count] of whole.ignored) {
    const found = (before.ignored.get(reason) ?? 0) + (resumed.ignored.get(reason) ?? 0)
    if (found !== count) differences.push({ reason, count, found })
  }
  return { lost: undefined, differences }
}

/** The messages after which the active leaf moved with a line from `cut` on, also if it moved back. */
function leavesMoved(adapter: LogAdapter, bytes: Buffer, index: LogIndex, cut: number, to: number): ReadonlySet<string> {
  const moved = new Set<string>()
  let leaves = new Map(index.messages.map(({ id, leaf }) => [id, leaf]))
  for (const { start, end } of rangesOf(bytes)) {
    if (start < cut || start >= to) continue
    feed(adapter, bytes, index, start, end)
    for (const { id, leaf } of index.messages) if (leaves.has(id) && leaves.get(id) !== leaf) moved.add(id)
    leaves = new Map(index.messages.map(({ id, leaf }) => [id, leaf]))
  }
  return moved
}

/** All that is known of some messages, as plain data. */
export function plainMessages(messages: readonly LogMessage[]): unknown {
  const plain = messages.map(({ id, order, created, parent, lines, open, trait, leaf }) => ({ id, order, created, parent, lines, open, trait, leaf }))
  return JSON.parse(JSON.stringify(plain))
}
