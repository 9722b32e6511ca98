/**
 * The messages of one log, as far as its lines tell without being parsed: which lines each is made of, in what order, under which
 * parent. An adapter feeds it line by line; it only ever grows, so lines that were appended are fed to it later.
 *
 * The index is *whole* when it was fed every line, and *resumed* when it goes on from a cursor, with the end of an earlier one in
 * its memory. What a resumed index would need of what it does not remember makes it `lost`: then the log is read from its start.
 * So a resumed index that is not lost says of new lines exactly what a whole one would, unless the log uses an id again for something else,
 * with a later time and behind more links than are remembered: no agent is known to, and to remember all ids is what a cursor must not do.
 */
import { type MessageId, parseMessageId } from '../../core/ids.js'
import type { Parsed } from '../span.js'
import type { LogTrait } from '../store.js'
import { idOf, inShort, type LogMemory, RememberedMessage, used } from './log-memory.js'

/** 'own': what the message says. 'answer': a line that answers calls of the message's tools, whatever else it says. */
export type LineUse = 'own' | 'answer'

/** A line and where it stands. In a snapshot (jcode) a message of the document takes the place of a line. */
export interface LogLine {
  /** Which of the session's files. */
  readonly file: number
  /** Bytes from the start of the file, of the unpacked text where it is packed. */
  readonly offset: number
  /** Bytes, without the line's end. */
  readonly length: number
  /** Counted from 1; in a snapshot the place of the message, counted from 1. */
  readonly line: number
  /** CRC-32 of the bytes: with offset and length it is the line's generation. 0 where it was not made. */
  readonly crc: number
  /** Its document, of a line that was parsed to be told; whoever opens the line first takes it. */
  parsed?: Parsed | undefined
}

export interface UsedLine extends LogLine {
  readonly use: LineUse
}

export interface LogMessage {
  readonly id: MessageId
  /** Its place in the log, counted from 0. */
  readonly order: number
  /** Epoch milliseconds. */
  readonly created: number
  /** The message that it answers or continues; undefined for a root. */
  readonly parent: MessageId | undefined
  /** At least one, the first is its own. */
  readonly lines: UsedLine[]
  /** Lines may be added to it: nothing tells yet that its writer is done with it. */
  open: boolean
  readonly trait: LogTrait | undefined
  /** Where the active leaf went after it, other than to it or to a message that began later. */
  leaf?: MessageId | null | undefined
}

export interface NewMessage {
  readonly id: string
  readonly created: number | undefined
  /** @default the root */
  readonly parent?: MessageId | undefined
  readonly open?: boolean
  readonly trait?: LogTrait | undefined
}

/** A link of the chain that lines form: the message it belongs to or follows, and what its line says, as a checksum. */
export interface LogEntry {
  readonly message: MessageId | undefined
  readonly content: number
}

/** A checksum, or how it is made. */
export type Sum = number | (() => number)

/** A line that was left out, and why. */
export interface LeftOut {
  readonly line: LogLine
  readonly reason: string
}

/** What a cursor remembers at most: links of the chain, messages, unanswered calls. */
const ENTRIES = 64
const MESSAGES = 16
const CALLS = 64

export class LogIndex {
  /** In the order of the log; of a resumed index those that it remembers, and the new ones. */
  readonly messages: LogMessage[] = []
  /** The adapter's own, plain data: it is kept in cursors. */
  readonly notes: Record<string, unknown>
  /** Lines left out, by reason. */
  readonly ignored = new Map<string, number>()
  /**
   * The bytes that the lines are read from stay as they are until the whole log was read: so a checksum that few lines are compared
   * by is made when it is asked for, and that of a line not at all.
   */
  lasting = false
  /** Why the log must be read from its start. */
  lost: string | undefined
  /** What the name of the log says whose it is. */
  session: string | undefined
  readonly #resumed: boolean
  readonly #byId = new Map<string, LogMessage>()
  readonly #entries = new Map<string, LogEntry>()
  readonly #calls = new Map<string, LogMessage>()
  readonly #groups = new Map<string, LogMessage>()
  /** Messages whose lines a resumed index does not know. */
  readonly #cut = new Set<LogMessage>()
  /** The newest message that the active path may end with. */
  #lastPlaced: LogMessage | undefined
  #count: number
  #touched = new Set<LogMessage>()
  /** Told of every line that is left out; for a census. */
  onLeftOut: ((what: LeftOut) => void) | undefined

  constructor(memory?: LogMemory) {
    this.#resumed = memory !== undefined
    this.#count = memory?.count ?? 0
    this.notes = memory === undefined ? {} : structuredClone(memory.notes as Record<string, unknown>)
    for (const kept of memory?.messages ?? []) {
      const message = new RememberedMessage(kept)
      this.#hold(message)
      if (message.isCut) this.#cut.add(message)
    }
    for (const [id, message, content] of memory?.entries ?? []) this.#entries.set(id, { message: idOf(message), content })
    for (const [id, message] of memory?.calls ?? []) this.#remember(this.#calls, id, message)
    for (const [name, message] of memory?.groups ?? []) this.#remember(this.#groups, name, message)
  }

  /** How many messages the log has. */
  get count(): number {
    return this.#count
  }

  get last(): LogMessage | undefined {
    return this.messages.at(-1)
  }

  find(id: string): LogMessage | undefined {
    return this.#byId.get(id)
  }

  /** A message begins with this line. An id that the log has used already gets the place of the line added to it. */
  begin({ id, created, parent, open = false, trait }: NewMessage, line: LogLine): LogMessage {
    const own = this.#byId.has(id) ? `${id}${lineId(line)}` : id
    const message: LogMessage = {
      id: parseMessageId(own),
      order: this.#count,
      created: created ?? this.last?.created ?? 0,
      parent,
      lines: [used(line, 'own')],
      open,
      trait,
      leaf: undefined,
    }
    this.#count++
    this.#hold(message)
    this.#touched.add(message)
    return message
  }

  add(message: LogMessage, line: LogLine, use: LineUse): void {
    message.lines.push(used(line, use))
    this.#touch(message)
  }

  close(message: LogMessage): void {
    if (!message.open) return
    message.open = false
    this.#touch(message)
  }

  /** A line that begins no message made this one the active leaf, or, undefined, none. */
  moveLeaf(to: MessageId | undefined): void {
    const last = this.#lastPlaced
    if (last === undefined && this.#count > 0) this.needsPast('the active leaf moved after many lines that are no messages')
    const leaf = to === last?.id ? undefined : (to ?? null)
    if (last === undefined || last.leaf === leaf) return
    last.leaf = leaf
    this.#touch(last)
  }

  /** The checksum of some bytes of the line that is read. */
  sum(make: () => number): Sum {
    return this.lasting ? make : make()
  }

  /** A link of the chain. Whether its id is new. */
  enter(id: string, entry: LogEntry): boolean {
    const before = this.#entries.size
    this.#entries.set(id, entry)
    return this.#entries.size > before
  }

  entry(id: string): LogEntry | undefined {
    return this.#entries.get(id)
  }

  /** What only the whole log tells: a resumed index is lost. */
  needsPast(reason: string): void {
    if (this.#resumed) this.lost ??= reason
  }

  /** The message that a line with this parent follows; an unknown parent makes it a root. A parent is always before its children. */
  follow(parent: string | undefined): MessageId | undefined {
    if (parent === undefined) return undefined
    const entry = this.#entries.get(parent)
    if (entry === undefined) this.needsPast('a new line continues from a line before the cursor')
    return entry?.message
  }

  /** A tool was called: the line that answers it belongs to the message. */
  call(id: string, message: LogMessage): void {
    this.#calls.set(id, message)
  }

  /** The message whose call is answered, once. */
  answer(id: string): LogMessage | undefined {
    const message = this.#calls.get(id)
    if (message === undefined) this.needsPast('a new line answers a call before the cursor')
    this.#calls.delete(id)
    return message
  }

  /** A message that later lines may belong to, under a name of the adapter's. */
  group(name: string): LogMessage | undefined {
    return this.#groups.get(name)
  }

  setGroup(name: string, message: LogMessage | undefined): void {
    this.#groups.delete(name)
    if (message !== undefined) this.#groups.set(name, message)
  }

  /** The line says nothing of the conversation. */
  ignore(line: LogLine, reason: string): void {
    this.ignored.set(reason, (this.ignored.get(reason) ?? 0) + 1)
    this.onLeftOut?.({ line, reason })
  }

  /** A line that cannot be told: it stands as a message of its own, which `parseSpan` will find damaged. */
  damaged(line: LogLine): void {
    this.begin({ id: lineId(line), created: undefined, trait: 'damaged' }, line)
  }

  /** The messages that began or got lines since the last call. */
  takeTouched(): readonly LogMessage[] {
    const touched = [...this.#touched].sort((a, b) => a.order - b.order)
    this.#touched = new Set()
    return touched
  }

  /** What a resumed index must know. */
  memory(): LogMemory {
    const calls = [...this.#calls].slice(-CALLS)
    const entries = [...this.#entries].slice(-ENTRIES)
    const kept = new Set(this.messages.slice(-MESSAGES))
    for (const [, message] of calls) kept.add(message)
    for (const [, { message }] of entries) {
      const held = message === undefined ? undefined : this.#byId.get(message)
      if (held !== undefined) kept.add(held)
    }
    return {
      count: this.#count,
      messages: inShort([...kept].sort((a, b) => a.order - b.order)),
      entries: entries.map(([id, { message, content }]) => [id, message ?? null, content]),
      calls: calls.map(([id, message]) => [id, message.id]),
      groups: [...this.#groups].flatMap(([name, message]) => (kept.has(message) ? [[name, message.id] as const] : [])),
      notes: structuredClone(this.notes),
    }
  }

  #touch(message: LogMessage): void {
    if (this.#cut.has(message)) this.lost ??= 'a message of very many lines goes on'
    this.#touched.add(message)
  }

  #hold(message: LogMessage): void {
    this.messages.push(message)
    if (message.trait !== 'sidechain' && message.trait !== 'damaged') this.#lastPlaced = message
    this.#byId.set(message.id, message)
  }

  #remember(map: Map<string, LogMessage>, name: string, id: string): void {
    const message = this.#byId.get(id)
    if (message !== undefined) map.set(name, message)
  }
}

/** The id of what has none of its own: the place of its line. */
export function lineId({ file, offset }: Pick<LogLine, 'file' | 'offset'>): string {
  return file === 0 ? `@${offset}` : `@${file}.${offset}`
}
