/** What `index --watch` says: a line on stderr for each change, one for many that come at once; with --json an object on stdout for each. */
import { describeSpace, type IndexProgress } from '../indexer/index.js'
import { count, onOneLine, printJson } from './output.js'

type Committed = Extract<IndexProgress, { kind: 'committed' }>

/** Changes within so many milliseconds are told together. */
const GATHER_MS = 500
/** More sessions than this at once become one line. */
const APART = 5

export class WatchLines {
  readonly #json: boolean
  readonly #gathered: Committed[] = []
  #timer: NodeJS.Timeout | undefined

  constructor({ json }: { readonly json: boolean }) {
    this.#json = json
  }

  add(event: IndexProgress): void {
    const text = lineOf(event)
    if (text === undefined) return
    if (this.#json) {
      printJson(jsonOf(event)).catch(() => undefined)
    } else if (event.kind === 'committed') {
      this.#gathered.push(event)
      this.#timer ??= setTimeout(() => this.#tell(), GATHER_MS)
    } else this.say(text)
  }

  /** For people alone. */
  say(sentence: string): void {
    if (this.#json) return
    this.#tell()
    process.stderr.write(`${new Date().toTimeString().slice(0, 8)} ${onOneLine(sentence)}\n`)
  }

  end(): void {
    this.#tell()
  }

  #tell(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const events = this.#gathered.splice(0)
    if (events.length === 0) return
    const sessions = bySession(events)
    if (sessions.size > APART) this.say(`${count(sessions.size, 'session')}: ${changeOf(events)}`)
    else for (const [session, own] of sessions) this.say(`${session}: ${changeOf(own)}`)
  }
}

function bySession(events: readonly Committed[]): ReadonlyMap<string, readonly Committed[]> {
  const groups = new Map<string, Committed[]>()
  for (const event of events) groups.set(event.key.session, [...(groups.get(event.key.session) ?? []), event])
  return groups
}

function changeOf(events: readonly Committed[]): string {
  const sum = (of: (event: Committed) => number): number => events.reduce((total, event) => total + of(event), 0)
  const written = sum(({ documents }) => documents)
  const deleted = sum(({ deleted: number }) => number)
  const parts = [...(written > 0 ? [`${count(written, 'document')} written`] : []), ...(deleted > 0 ? [`${count(deleted, 'document')} deleted`] : [])]
  return `${parts.join(', ')}${events.every(({ replayed }) => replayed) ? ' (kept from an earlier run)' : ''}`
}

/** A change is worth a line; that a session was looked at is not. */
function lineOf(event: IndexProgress): string | undefined {
  switch (event.kind) {
    case 'committed':
      return event.documents + event.deleted === 0 ? undefined : changeOf([event])
    case 'removed':
      return `${event.key.session}: removed`
    case 'repaired':
      return `${event.key.session}: ${count(event.documents, 'document')} repaired`
    case 'quarantined':
      return `${event.key.session}: a text was put aside (${event.code}); see spanleaf retry --list`
    case 'failed':
      return `${event.key.session}: ${event.failure.code}: ${event.failure.reason}; tried again later`
    case 'lost':
      return `${event.key.session}: another process took it over`
    case 'left-out':
      return `${event.key.session}: left out (${event.code})`
    case 'breaker':
      return breakerLine(event.breaker)
    case 'space':
      return event.space.state === 'live'
        ? `searched from now on: ${describeSpace(event.space.space)}`
        : `${event.space.state}: ${describeSpace(event.space.space)}`
    case 'error':
      return `${event.during}: ${event.failure.code}: ${event.failure.reason}; tried again later`
    case 'claimed':
    case 'released':
    case 'deferred':
    case 'observed':
      return undefined
    default:
      return event satisfies never
  }
}

function breakerLine({ service, state, failure }: Extract<IndexProgress, { kind: 'breaker' }>['breaker']): string | undefined {
  if (state === 'half-open') return undefined
  if (state === 'closed') return `the ${service} answers again`
  return `the ${service} is down${failure === undefined ? '' : `: ${failure.code}: ${failure.reason}`}`
}

function jsonOf(event: IndexProgress): object {
  const { key, error: _, ...rest } = { key: undefined, error: undefined, ...event }
  return { at: Date.now(), ...rest, ...(key !== undefined && { agent: key.agent, session: key.session }) }
}
