/** Ids: opaque branded strings, born here and nowhere else. */
import { StorageError } from './errors.js'

declare const brand: unique symbol
export type Id<Kind extends string> = string & { readonly [brand]: Kind }
export type SessionId = Id<'session'>
export type MessageId = Id<'message'>
export type PartId = Id<'part'>
export type ProjectId = Id<'project'>

// Separators and control characters would let an id become a path or break a key; a lone surrogate has no UTF-8 form.
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
const UNSAFE = /[\u0000-\u001f\u007f/\\]|\.\.|\p{Surrogate}/u
/** What nearly every id is; found out in half the time. */
const PLAIN = /^[\w-]+$/

/** True for a text that may serve as an id. There is no rule of prefix or length: stores hold uuids and hand-made ids. */
export function isSafeId(text: unknown): text is string {
  return typeof text === 'string' && (PLAIN.test(text) || (text !== '' && text !== '.' && !UNSAFE.test(text)))
}

/** Of an id that is told, no more: a hostile one may be megabytes. */
const TOLD_LENGTH = 64

/** An id that is unsafe, for an error that names it. */
export function quotedId(id: unknown): string {
  if (typeof id !== 'string') return 'that is no text'
  return id.length > TOLD_LENGTH ? `${JSON.stringify(id.slice(0, TOLD_LENGTH))} and so on` : JSON.stringify(id)
}

function parseId<Kind extends string>(kind: Kind, text: string): Id<Kind> {
  if (isSafeId(text)) return text as Id<Kind>
  throw new StorageError('INVALID_ID', { reason: `${quotedId(text)} is no ${kind} id` })
}

/** @throws StorageError INVALID_ID */
export function parseSessionId(text: string): SessionId {
  return parseId('session', text)
}

/** @throws StorageError INVALID_ID */
export function parseMessageId(text: string): MessageId {
  return parseId('message', text)
}

/** @throws StorageError INVALID_ID */
export function parsePartId(text: string): PartId {
  return parseId('part', text)
}

/** Of a part inside its message's document, named by its place: as safe as the message's id is. */
export function inlinePartId(message: MessageId, at: number): PartId {
  return `${message}_${at}` as PartId
}

/** @throws StorageError INVALID_ID */
export function parseProjectId(text: string): ProjectId {
  return parseId('project', text)
}

/** 36 bits of milliseconds: OpenCode's ids repeat every 795.36 days (the last wrap was 2026-08-14T11:19:55.136Z). */
const LAP = 2 ** 36
const GENERATED = /^([a-z]+)_([0-9a-f]{12})[0-9A-Za-z]{14}(?:_|$)/

/**
 * The creation time of an id that OpenCode generated, in epoch milliseconds; `near` (epoch ms) picks the lap.
 * Session ids hold the time inverted. Ids made by anything else give `undefined`.
 */
export function idTime(id: string, near: number): number | undefined {
  const [, prefix, hex] = GENERATED.exec(id) ?? []
  if (hex === undefined) return undefined
  const stored = Number.parseInt(hex, 16)
  const ascending = prefix === 'ses' ? 2 ** 48 - 1 - stored : stored
  const low = Math.floor(ascending / 4096)
  return low + Math.round((near - low) / LAP) * LAP
}

/**
 * Orders ids of records that were made within one lap of each other: by generated time, then by text.
 * Sorting the text alone is right unless the ids straddle a wrap, so only then the times are decoded.
 */
export function byIdTime<T>(items: T[], idOf: (item: T) => string, near: number): T[] {
  let ordered = true
  let late = false
  let early = false
  let previous = ''
  for (const item of items) {
    const id = idOf(item)
    const hexDigit = id.charAt(id.indexOf('_') + 1)
    late ||= hexDigit === 'f'
    early ||= hexDigit === '0'
    ordered &&= previous <= id
    previous = id
  }
  if (late && early) return byDecodedTime(items, idOf, near)
  return ordered ? items : items.sort((a, b) => compareText(idOf(a), idOf(b)))
}

function byDecodedTime<T>(items: T[], idOf: (item: T) => string, near: number): T[] {
  const time = (item: T): number => idTime(idOf(item), near) ?? near
  return items.sort((a, b) => time(a) - time(b) || compareText(idOf(a), idOf(b)))
}

/** Code-unit order, the order of JavaScript's `<` and, for ids in practice, of SQLite's BINARY collation. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
