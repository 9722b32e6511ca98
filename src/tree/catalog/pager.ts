/** Pages that go on from one another: while nobody writes, what was read for one and not given is there for the next. */
import { cursorAt, placeOf, type ReadQuery, type SessionPlace } from '../sessions/session-page.js'
import { type Prepare, readSessions, type Segment, type SessionReading } from './pages.js'
import type { CatalogPage } from './port.js'

/** `segments`: the same list as long as nobody writes. `damaged`: rows that did not pass, which are not in the page. */
export type Pager = (segments: readonly Segment[], query: ReadQuery) => CatalogPage & { readonly damaged: number }

/** Where the page that was given last goes on. */
interface Ahead {
  readonly segments: readonly Segment[]
  readonly name: string
  readonly place: SessionPlace
  readonly reading: SessionReading
}

export function pagerOf(prepare: Prepare): Pager {
  let ahead: Ahead | undefined
  return (segments, query) => {
    const held = ahead
    ahead = undefined
    const goesOn = held?.segments === segments && held.name === query.name && isSamePlace(held.place, query.after)
    const reading = goesOn ? held.reading : readSessions(prepare, segments, query)
    const { sessions, damaged } = reading.take(query.limit)
    const last = sessions.at(-1)
    if (last === undefined || reading.isAtEnd()) return { sessions, damaged, next: undefined }
    const place = placeOf(last, query.sort)
    ahead = { segments, name: query.name, place, reading }
    return { sessions, damaged, next: cursorAt(query, place) }
  }
}

function isSamePlace({ value, id, agent }: SessionPlace, other: SessionPlace | undefined): boolean {
  return other !== undefined && value === other.value && id === other.id && agent === other.agent
}
