/**
 * Titles of branches in Claude Code's logs: a `summary` line names the last line of what it sums up, its leaf. Programs also write summaries of
 * other sessions into a log, so one counts when its leaf is a line of the log: of those before it, or of those that come later.
 */
import { closeSync, openSync, readSync } from 'node:fs'
import type { Document } from '../../core/documents.js'
import { systemCode } from '../../core/errors.js'
import { kindOf } from './claude-kinds.js'
import { LIGHT, type LogMeta } from './log-adapter.js'
import { parsed } from './log-record.js'
import { LastSighting } from './sightings.js'
import { Skim } from './skim.js'

/** So many summaries wait for their leaves. */
const WAITING = 16

type Waiting = readonly (readonly [leaf: string, title: string])[]

function waitingIn({ notes }: LogMeta): Waiting {
  return Array.isArray(notes?.waiting) ? (notes.waiting as Waiting) : []
}

/** The title counts once its leaf is found. */
export function awaitLeaf(leaf: string, title: string, meta: LogMeta): void {
  meta.notes = { ...meta.notes, waiting: [...waitingIn(meta), [leaf, title] as const].slice(-WAITING) }
}

/** The titles whose leaf a line of the conversation is. */
export function titlesOf(line: Document, meta: LogMeta): readonly string[] {
  return waitingIn(meta).flatMap(([leaf, title]) => (leaf === line.uuid ? [title] : []))
}

/** Of the lines that are waited for, by the list of those that wait, which is one log's. */
const leaves = new WeakMap<Waiting, LastSighting>()
const NAME = new Skim({ uuid: 0 })

/** Whether a summary waits for the line, and for no later one that is at hand: the newest title counts. */
export function isLeaf(bytes: Buffer, start: number, end: number, meta: LogMeta, offset: number, until: number): boolean {
  const waiting = waitingIn(meta)
  if (waiting.length === 0) return false
  let sighting = leaves.get(waiting)
  if (sighting === undefined) {
    sighting = sightingOf(waiting.map(([leaf]) => leaf))
    leaves.set(waiting, sighting)
  }
  return sighting.is(bytes, start, end, offset, until)
}

/** Without a quote before the id the search takes a fifth. A line that will not be described is not meant: an earlier one counts. */
function sightingOf(ids: readonly string[]): LastSighting {
  const isNamed = (bytes: Buffer, start: number, end: number): boolean => NAME.whole(bytes, start, end) && ids.includes(NAME.text(0) ?? '')
  const isMeant = (bytes: Buffer, start: number, end: number): boolean =>
    end - start <= LIGHT && isNamed(bytes, start, end) && kindOf(bytes, start, end) === 'spoken' && parsed(bytes, start, end) !== undefined
  return new LastSighting(
    ids.map((id) => `${id}"`),
    isMeant,
  )
}

/** Where the line stands that was asked about last: up to there its leaf is looked for. The bytes: of the log's beginning, where they are at hand. */
const last: { offset: number; before: Buffer | undefined } = { offset: 0, before: undefined }

/** Of a line that is about to be described. `offset`: where `bytes[start]` stands in the log. */
export function standAt(bytes: Buffer, start: number, offset: number): void {
  last.offset = offset
  last.before = offset === start ? bytes.subarray(0, start) : undefined
}

/** A leaf stands near what sums it up: it is looked for in so many bytes first, then in so many. */
const [NEAR, FAR] = [2 ** 18, 2 ** 24]
/** So many summaries of other sessions may have their leaves looked for afar: a log can be full of them. */
const MOST_MISSED = 16

/** Whether a line of the conversation that stands before the summary has the id. */
export function isBefore(leaf: string, path: string, meta: LogMeta): boolean {
  const { offset, before } = last
  last.before = undefined
  const missed = Number(meta.notes?.missed ?? 0)
  for (const most of missed < MOST_MISSED ? [NEAR, FAR] : [NEAR]) {
    const start = Math.max(0, offset - most)
    if (holds(before?.subarray(start) ?? bytesOf(path, start, offset), leaf)) return true
    if (start === 0) break
  }
  meta.notes = { ...meta.notes, missed: missed + 1 }
  return false
}

function holds(bytes: Buffer, leaf: string): boolean {
  const name = Buffer.from(`${leaf}"`)
  for (let at = bytes.lastIndexOf(name); at >= 0; ) {
    const start = bytes.lastIndexOf(NEWLINE, at) + 1
    const newline = bytes.indexOf(NEWLINE, at)
    const end = newline < 0 ? bytes.length : newline
    if (NAME.whole(bytes, start, end) && NAME.text(0) === leaf && kindOf(bytes, start, end) === 'spoken') return true
    if (start < name.length) break
    at = bytes.lastIndexOf(name, start - name.length)
  }
  return false
}

const NEWLINE = 0x0a

/** Nothing of a log that cannot be read. */
function bytesOf(path: string, start: number, end: number): Buffer {
  try {
    const file = openSync(path, 'r')
    try {
      const bytes = Buffer.allocUnsafe(end - start)
      return bytes.subarray(0, readSync(file, bytes, 0, bytes.length, start))
    } finally {
      closeSync(file)
    }
  } catch (error) {
    if (systemCode(error) === undefined) throw error
    return Buffer.alloc(0)
  }
}
