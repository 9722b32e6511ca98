/** The same text in several sessions, as forks and resumed sessions copy it: one place of a ranking, one hit. */
import type { Agent } from '../core/keys.js'
import type { SinkHit } from './ports.js'

/** One message that the hit stands for, too: of another session, with the same text. */
export interface HitCopy {
  readonly agent: Agent
  readonly session: string
  readonly message: string
  readonly title: string
  readonly directory: string
  readonly source: string
  /** Epoch milliseconds. */
  readonly created: number
}

/** What people say again and again ("thanks", "go on") is shorter, in UTF-16 units. */
const SHORT = 40

/**
 * Copied history is found once: the n-th message of one session with a text and the n-th of another with that text are one place.
 * Short texts are said anew, too: they are copies where they are of one time, or where a log tells that they were copied.
 * Gives the place of each message of `hits`, a ranking, in its order.
 */
export function placesOfText(hits: readonly SinkHit[]): (hit: SinkHit) => string {
  const times = timesOf(hits.filter(isShort))
  const met = new Map<string, number>()
  return (hit) => {
    const text = textOf(hit)
    const same = isShort(hit) ? `${text}\u0001${timeOf(hit, times.get(text))}` : text
    const own = `${hit.metadata.session_id}\u0001${same}`
    const count = (met.get(own) ?? 0) + 1
    met.set(own, count)
    return `${count}\u0001${same}`
  }
}

/** The same for the same whole message, whichever chunk of it the hit is. */
function textOf({ text, metadata: { agent, role, text_hash } }: SinkHit): string {
  return `${agent}\u0001${role}\u0001${text_hash === '' ? text : text_hash}`
}

/** A chunk that is not the first is of a long message. */
function isShort({ text, metadata: { chunk } }: SinkHit): boolean {
  return chunk === 0 && text.length < SHORT
}

interface Times {
  /** At which the text was said by a session that did not copy it. */
  readonly own: Set<number>
  readonly first: number
}

function timesOf(hits: readonly SinkHit[]): ReadonlyMap<string, Times> {
  const times = new Map<string, Times>()
  for (const hit of hits) {
    const { inherited, created_at } = hit.metadata
    if (inherited === true) continue
    const { own, first } = times.get(textOf(hit)) ?? { own: new Set(), first: created_at }
    times.set(textOf(hit), { own: own.add(created_at), first: Math.min(first, created_at) })
  }
  return times
}

/** Some logs give what they copy a time of its own: it is then taken for the first that there is. */
function timeOf({ metadata: { inherited, created_at } }: SinkHit, times: Times | undefined): number {
  if (inherited !== true || times?.own.has(created_at) === true) return created_at
  return times?.first ?? 0
}

/** Where the text comes from: what was not copied, as far as that is known; of equals what was written first, then what was indexed first. */
export function isOrigin({ metadata: a }: SinkHit, { metadata: b }: SinkHit): boolean {
  if ((a.inherited === true) !== (b.inherited === true)) return b.inherited === true
  return a.created_at < b.created_at || (a.created_at === b.created_at && a.rev < b.rev)
}

export function toCopy({ metadata: { agent, session_id, message_id, title, directory, source, created_at } }: SinkHit): HitCopy {
  return { agent, session: session_id, message: message_id, title, directory, source, created: created_at }
}

/** How many places the hits are of. */
export function countPlaces(hits: readonly SinkHit[]): number {
  const placeOf = placesOfText(hits)
  const messages = new Set<string>()
  const places = new Set<string>()
  for (const hit of hits) {
    const message = messageOf(hit)
    if (messages.has(message)) continue
    messages.add(message)
    places.add(placeOf(hit))
  }
  return places.size
}

export function countMessages(hits: readonly SinkHit[]): number {
  return new Set(hits.map(messageOf)).size
}

export function messageOf({ metadata }: SinkHit): string {
  return `${metadata.agent}\u0001${metadata.session_id}\u0001${metadata.message_id}`
}
