/** Writing for people and for programs: lines on stdout, everything else on stderr. */
import { once } from 'node:events'
import type { StageIssue } from '../index.js'

/**
 * Writes a line; waits while the reader is slower than we are. A reader that went away ends the program quietly. What an id may hold and a
 * terminal would obey is left out.
 */
export async function print(line: string): Promise<void> {
  if (!process.stdout.write(`${withoutUnseen(line)}\n`)) await once(process.stdout, 'drain')
}

/** An id as `print` writes it. */
export function withoutUnseen(id: string): string {
  return id.replace(UNSEEN, '')
}

/** One JSON object on one line. JSON lets control characters beyond ASCII stand as they are; a terminal would obey them. */
export async function printJson(value: object): Promise<void> {
  await print(JSON.stringify(value).replace(UNSEEN, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`))
}

/** What an id may hold: control characters beyond ASCII, line breaks of Unicode, and what turns the direction of writing. */
const UNSEEN = /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is taken out
const CONTROL = /[\u0000-\u0008\u000b-\u001f]/g
const LINE_BREAK = /[\u2028\u2029]/g

/** A store, or something in the place of one, that cannot be read or is of another program. */
export function issueJson({ code, path, reason, transient, line, offset }: StageIssue): object {
  const place = { ...(line !== undefined && { line }), ...(offset !== undefined && { offset }) }
  return { code, path: path ?? null, ...place, reason, transient: transient === true }
}

export function issueLine(issue: StageIssue): string {
  const place = placeOf(issue)
  return place === '' ? issue.reason : `${issue.reason} (${place})`
}

export interface Place {
  readonly path?: string | undefined
  readonly line?: number | undefined
  readonly offset?: number | undefined
}

/** The path, and of a line of a log which one it is: `/path/log.jsonl:12 (byte 3456)`. */
export function placeOf({ path = '', line, offset }: Place): string {
  return line === undefined ? path : `${path}:${line}${offset === undefined ? '' : ` (byte ${offset})`}`
}

export function warn(sentence: string): void {
  process.stderr.write(`spanleaf: ${onOneLine(sentence)}\n`)
}

/**
 * Calls back with the exit status once what is written cannot reach anybody. A closed pipe (`spanleaf ls | head`) is no error; a full disk is one.
 * The program is then to come to its end: `process.exit` would wait for a transaction that waits for this thread.
 */
export function endWithReader(end: (status: 0 | 1) => void): void {
  let ended = false
  const onError = (error: NodeJS.ErrnoException): void => {
    if (ended) return
    ended = true
    end(error.code === 'EPIPE' ? 0 : 1)
    if (error.code !== 'EPIPE') warn(`the output cannot be written (${error.code ?? error.message})`)
  }
  process.stdout.on('error', onError)
  process.stderr.on('error', onError)
}

/**
 * Text of a session as a terminal may show it: without control characters, which could move the cursor or fake output, and without those
 * that turn the direction of writing. Every line break is one of ours.
 */
export function plain(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? '')
  return text.toWellFormed().replace(LINE_BREAK, '\n').replace(CONTROL, '').replace(UNSEEN, '')
}

export function onOneLine(value: unknown): string {
  return plain(value).replace(/\s+/g, ' ')
}

/** The width of the terminal; unlimited where the output is no terminal. */
export function terminalWidth(): number {
  // Some terminals do not tell theirs.
  return (process.stdout.isTTY && process.stdout.columns) || Number.POSITIVE_INFINITY
}

/** Whether the output is a terminal that shows colors, and nobody asked for none (`NO_COLOR`, `TERM=dumb`). */
export function hasColors(): boolean {
  return process.stdout.isTTY && process.stdout.hasColors()
}

/** `2026-11-20 11:03`, in local time; blanks for an unknown time. */
export function formatTime(ms: number): string {
  if (!(ms > 0)) return ' '.repeat(16)
  const date = new Date(ms)
  return `${formatDay(ms)} ${twoDigits(date.getHours())}:${twoDigits(date.getMinutes())}`
}

/** `2026-11-20`, likewise. */
export function formatDay(ms: number): string {
  if (!(ms > 0)) return ' '.repeat(10)
  const date = new Date(ms)
  return `${date.getFullYear()}-${twoDigits(date.getMonth() + 1)}-${twoDigits(date.getDate())}`
}

function twoDigits(value: number): string {
  return String(value).padStart(2, '0')
}

export function formatBytes(bytes: number): string {
  const units = ['B', 'KB', 'MB', 'GB', 'TB']
  let size = bytes
  let unit = 0
  while (size >= 1000 && unit < units.length - 1) {
    size /= 1000
    unit++
  }
  return `${unit === 0 ? size : size.toFixed(1)} ${units[unit]}`
}

export function count(number: number, noun: string, plural = `${noun}s`): string {
  return `${number.toLocaleString('en')} ${number === 1 ? noun : plural}`
}

/** A length of time, to two units: `12 s`, `3 min`, `5 h 10 min`, `4 d`. */
export function span(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000))
  if (seconds < 1) return `${Math.max(0, Math.round(ms))} ms`
  if (seconds < 60) return `${seconds} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes} min`
  const hours = Math.floor(minutes / 60)
  if (hours < 48) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`
  return `${Math.floor(hours / 24)} d`
}

/** How long ago, and after a month the day: `just now`, `3 min ago`, `2026-11-20`. Epoch milliseconds. */
export function ago(at: number, now: number = Date.now()): string {
  const ms = now - at
  if (ms >= MONTH_MS) return formatDay(at)
  return ms < 1000 ? 'just now' : `${span(ms)} ago`
}

const MONTH_MS = 30 * 86_400_000
