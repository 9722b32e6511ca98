/** What reading a log of Codex remembers from line to line: plain data, kept in the index's notes and with them in cursors. */
import type { LogIndex, LogLine } from './log-index.js'

export interface CodexNotes {
  /** Whether the log has response items. Until then its events are the messages. */
  items?: boolean
  /** The step is over: what the model says next is another one. */
  over?: boolean
  /** The newest message, which the next one follows; null: the next one is a root. */
  tip?: string | null | undefined
  /** How many turns lie behind, rolled back ones left out. */
  turns?: number
  /** Checksum of the usage that was told last. */
  usage?: number
  /** The settings of a turn wait for its first step. */
  context?: LogLine | undefined
  /** The settings of the turn that goes on: a line of each of its steps. */
  settings?: LogLine | undefined
  /** The id in the head. */
  id?: string
  /** When the head was written, epoch milliseconds. */
  begun?: number | undefined
  fork?: ForkNotes
  /** Events that were taken as messages just now: an item may repeat them. */
  twins?: Twin[]
  /** What items of the turn said last, by role and checksum: an event may repeat it. */
  said?: SaidText[]
  /** Events that wait for an item that says the same. */
  held?: readonly Held[]
  /** Whether items or the events that repeat them were first, as far as the log has shown. */
  first?: Readonly<Partial<Record<Speaker, 'item' | 'event'>>>
}

/** Whose words an item or an event has. 'review': what a review found. */
export type Speaker = 'user' | 'agent' | 'thought' | 'review'

export interface Twin {
  readonly role: Speaker
  /** Of the text's bytes. */
  readonly crc: number
  readonly message: string
  readonly order: number
}

export type SaidText = readonly [role: Speaker, sum: number]

export interface Held {
  readonly role: Speaker
  /** Of the text's bytes. */
  readonly sum: number
  /** When the event was written, epoch milliseconds; null: it does not say. */
  readonly time: number | null
  readonly line: LogLine
}

/**
 * A fork's log may begin with a copy of its parent's, with the times of the copying. What is copied shows by the parent's head, and by
 * the ids of turns, which hold the time they began (UUIDv7): turns older than the fork are its parent's. 'unsure': neither tells.
 */
export interface ForkNotes {
  /** When the fork was made, epoch milliseconds. */
  readonly made: number
  state: 'unsure' | 'copied head' | 'old turn' | 'over'
}

/** The copy is written in one go; what was written later than this after the head is none, whatever else speaks for it. */
const COPYING_MS = 10_000

/** A log's head. Returns whether it is the log's own. */
export function noteHead(notes: CodexNotes, log: LogIndex, id: string | undefined, time: number | undefined, isFork: boolean): void {
  if (notes.id === undefined && log.count === 0) {
    notes.id = id ?? ''
    notes.begun = time
    if (isFork) notes.fork = { made: madeAt(id, time), state: 'unsure' }
    return
  }
  if (id === undefined || notes.id === undefined) return
  if (notes.fork === undefined && log.count === 0 && id !== notes.id) notes.fork = { made: madeAt(notes.id, notes.begun), state: 'unsure' }
  const { fork } = notes
  if (fork === undefined || fork.state === 'over') return
  if (id !== notes.id) fork.state = 'copied head'
  else if (fork.state !== 'unsure') fork.state = 'over'
}

/** The id of a turn, where its mark has one. */
export function noteTurn({ fork }: CodexNotes, turn: string | undefined): void {
  if (fork === undefined || fork.state === 'over') return
  const began = turn === undefined ? undefined : uuidTime(turn)
  if (began !== undefined) fork.state = began < fork.made ? 'old turn' : 'over'
  else if (turn !== undefined || fork.state !== 'old turn') fork.state = 'unsure'
}

/** Whether a message that begins now is surely a copy. */
export function isCopied({ fork, begun }: CodexNotes, time: number | undefined): boolean {
  if (fork === undefined || fork.state === 'unsure' || fork.state === 'over') return false
  return time !== undefined && begun !== undefined && time <= begun + COPYING_MS
}

function madeAt(id: string | undefined, time: number | undefined): number {
  return (id === undefined ? undefined : uuidTime(id)) ?? time ?? 0
}

/** When a UUIDv7 was made, epoch milliseconds; undefined for any other text. */
export function uuidTime(text: string): number | undefined {
  return UUID_V7.test(text) ? Number.parseInt(text.slice(0, 8) + text.slice(9, 13), 16) : undefined
}

const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/i

/** Twins that are remembered, and how many messages back. */
const TWINS = 8

export function noteTwin(notes: CodexNotes, twin: Twin): void {
  notes.twins ??= []
  notes.twins.push(twin)
  if (notes.twins.length > TWINS) notes.twins.shift()
}

export function hasTwins({ twins }: CodexNotes): boolean {
  return twins !== undefined && twins.length > 0
}

/** The event that says the same as an item, once. */
export function takeTwin({ twins }: CodexNotes, count: number, role: Speaker, sums: readonly number[]): Twin | undefined {
  const at = twins?.findIndex((twin) => twin.role === role && sums.includes(twin.crc) && twin.order >= count - TWINS) ?? -1
  return at < 0 ? undefined : twins?.splice(at, 1)[0]
}

/** So many texts are remembered, and of one item alone. */
const SAID = 24
const SAID_BY_ONE = 512

/** An item says this. What the model answers no event of a prompt repeats. */
export function heard(notes: CodexNotes, role: Speaker, sums: readonly number[]): void {
  if (sums.length === 0) return
  notes.said ??= []
  const { said } = notes
  if (role !== 'user') while (said[0] !== undefined && isAsked(said[0])) said.shift()
  for (const sum of sums) said.push([role, sum])
  // The events of an item follow it.
  const most = Math.min(SAID_BY_ONE, Math.max(SAID, sums.length))
  if (said.length > most) said.splice(0, said.length - most)
}

/** A prompt begins a turn: no event repeats what was answered before. */
export function forgetAnswers(notes: CodexNotes): void {
  if (notes.said !== undefined) notes.said = notes.said.filter(isAsked)
}

function isAsked([role]: SaidText): boolean {
  return role === 'user'
}

export function isHeard({ said }: CodexNotes, role: Speaker, sum: number): boolean {
  return said?.some((one) => one[0] === role && one[1] === sum) === true
}

/** What the index remembers a turn by. */
export function turnName(turn: number): string {
  return `turn ${turn}`
}
