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

/**
 * Copied history is found once: the n-th message of one session with a text and the n-th of another with that text are one place.
 * Gives the place of each message that is met, in the order of a ranking.
 */
export function placesOfText(): (hit: SinkHit) => string {
  const met = new Map<string, number>()
  return ({ text, metadata: { agent, role, session_id } }) => {
    const same = `${agent}\u0001${role}\u0001${text}`
    const own = `${session_id}\u0001${same}`
    const count = (met.get(own) ?? 0) + 1
    met.set(own, count)
    return `${count}\u0001${same}`
  }
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
  const placeOf = placesOfText()
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

export function messageOf({ metadata }: SinkHit): string {
  return `${metadata.agent}\u0001${metadata.session_id}\u0001${metadata.message_id}`
}
