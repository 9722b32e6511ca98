/** What must hold after every command, and what must hold once a model machine has come to rest. Numbers are those of docs/indexer.md. */
import { parseMessageId } from '../../src/core/ids.js'
import { messageKey } from '../../src/core/keys.js'
import { settlement } from '../../src/indexer/settled.js'
import { spaceIdOf } from '../../src/indexer/space.js'
import type { LedgerRow } from '../../src/indexer/state/rows.js'
import { documentId } from '../../src/indexer/text/document.js'
import { projectMessage } from '../../src/indexer/text/projection.js'
import { keyOf, nodeOf, visibleOf, type WorldMessage, type WorldSession } from './index-world.js'
import { type Host, LIMITS } from './model-host.js'
import { NAMESPACE, SPACES } from './model-vectors.js'

/** Keeps what the invariants that speak of a history need. */
export class Invariants {
  readonly #host: Host
  readonly #marks = new Map<string, { readonly content: string; readonly mark: number }>()

  constructor(host: Host) {
    this.#host = host
  }

  /** Those that are broken. */
  check(): readonly string[] {
    const { place, witness, observer } = this.#host
    const { sessions, records, torn } = place.rows()
    const broken = torn.map((what) => `I1: ${what}`)
    for (const { session, queued, leased } of sessions) if (queued && leased) broken.push(`I1: ${session} is queued and leased`)
    const pending = sessions.flatMap(({ wal }) => wal ?? [])
    if (new Set(pending).size !== pending.length || pending.toSorted().join() !== records.toSorted().join())
      broken.push(`I4: records ${records.join()} of sessions with ${pending.join()}`)
    witness.checkRecords(new Set(records))
    for (const { id, space } of observer.spaces()) witness.checkLedger(space, id)
    broken.push(...this.#watermarks())
    return [...broken, ...witness.violations.splice(0)]
  }

  /** I8: how far a session is indexed without a gap moves back only when the session does. */
  #watermarks(): string[] {
    const broken: string[] = []
    const { world, weather, space } = this.#host
    for (const session of world.sessions.values()) {
      if (weather.excluded.has(session.id)) {
        this.#marks.delete(session.id)
        continue
      }
      const ledger = this.#host.ledgerOf(keyOf(session.id))
      const visible = visibleOf(session)
      // A deletion that was not noticed yet moves the session back once it is; what is to be read again says nothing.
      const present = new Set<string>(visible.map(({ id }) => id))
      if ([...ledger.keys()].some((id) => !present.has(id)) || visible.some(({ id }) => ledger.get(parseMessageId(id))?.signature === '')) {
        this.#marks.delete(session.id)
        continue
      }
      const gap = visible.findIndex((message) => !isPast(this.#host, session, message, ledger.get(parseMessageId(message.id))))
      const mark = gap === -1 ? visible.length : gap
      const content = JSON.stringify([space, session, this.#host.epochs.get(session.id)])
      const before = this.#marks.get(session.id)
      if (before?.content === content && mark < before.mark) broken.push(`I8: the watermark of ${session.id} fell from ${before.mark} to ${mark}`)
      this.#marks.set(session.id, { content, mark })
    }
    return broken
  }
}

/**
 * Indexed as it is. What is settled by quiet alone is not while the clock, set back, stands before that quiet; and what its writer left
 * unfinished is looked at again, and may count as unfinished again.
 */
function isPast({ clock }: Host, session: WorldSession, message: WorldMessage, row: LedgerRow | undefined): boolean {
  const node = nodeOf(keyOf(session.id), message)
  if (row === undefined || row.state === 'volatile' || row.signature !== node.signature) return false
  const now = clock.now()
  const around = { later: message !== session.messages.at(-1), now, seen: Math.min(row.at, now), sessionUpdated: session.updated }
  return settlement(node, around, LIMITS) === 'settled'
}

const REST_ROUNDS = 80

/** Everything works again, the clock goes on, until nothing is left to do. @throws when that never happens */
export async function comeToRest(host: Host, { scan }: { readonly scan: boolean }): Promise<void> {
  const { world, weather } = host
  world.failing.clear()
  world.tailComplete = true
  Object.assign(weather, { embedderDown: false, sinkDown: false })
  for (const process of [...host.processes]) {
    process.gate.disarm()
    if (process.gate.state === 'stopped') await host.resume(process)
  }
  // Else rest may be found by a process of the former space, before one of the new space ever began.
  host.endFormer()
  let scans = scan ? 1 : 0
  for (let round = 0; round < REST_ROUNDS; round++) {
    const process = await host.processAt(round)
    for (const claim of process.held.splice(0))
      await host.run(process, () => process.state.release(claim, { kind: 'stopped' }).catch(() => process.state.lost(claim)))
    await host.run(process, () => process.indexer.observe())
    await host.run(process, () => process.indexer.drain())
    if (isAtRest(host)) {
      if (scans-- <= 0) return
      await host.observer.slowScan({ limit: 1000, minAgeMs: 0 })
    }
    host.clock.advance(9000)
  }
  const { queue, suspects, leases, spaces, lastError } = host.observer.status()
  throw new Error(`no rest: ${JSON.stringify({ queue, suspects, leases, spaces, lastError, sessions: host.observer.sessions() })}`)
}

function isAtRest({ observer }: Host): boolean {
  const { queue, suspects, spaces } = observer.status()
  const busy = queue.ready + queue.leased + queue.backoff + suspects
  return busy === 0 && spaces.length === 1 && observer.sessions().every(({ stranded, incomplete }) => !stranded && !incomplete)
}

/** I2 and I6: at rest the sink holds every message that was not put aside exactly once, with its text, and nothing else. */
export function brokenAtRest(host: Host): readonly string[] {
  const { observer, world, weather, sinks } = host
  const broken: string[] = []
  const name = SPACES[host.space] ?? ''
  const [live] = observer.spaces()
  if (live?.id !== spaceIdOf(name)) broken.push(`I2: ${live?.space} is searched, not ${name}`)
  const expected = new Map<string, string>()
  for (const session of world.sessions.values()) {
    if (weather.excluded.has(session.id)) continue
    const ledger = host.ledgerOf(keyOf(session.id))
    for (const message of visibleOf(session)) {
      const node = nodeOf(keyOf(session.id), message)
      const row = ledger.get(node.key.message)
      if (row?.state === 'volatile') broken.push(`I2: ${message.id} is volatile`)
      const { chunks, textHash } = projectMessage(node)
      for (const chunk of chunks.keys()) {
        // What was put aside is not held; whether it may be is asked of the letters.
        if (row?.state === 'quarantined' && (row.chunks[chunk] ?? '') === '') continue
        expected.set(documentId(NAMESPACE, messageKey(keyOf(session.id), node.key.message), chunk), textHash)
      }
    }
  }
  const held = new Map([...(sinks.get(name)?.rows ?? [])].map(([id, { metadata }]) => [id, metadata]))
  for (const [id, hash] of expected) {
    if (!held.has(id)) broken.push(`I6: ${id} is missing`)
    else if (held.get(id)?.text_hash !== hash) broken.push(`I6: ${id} is stale`)
  }
  for (const [id, { message_id }] of held) if (!expected.has(id)) broken.push(`I6: ${id} of ${message_id} is an orphan`)
  return broken
}

/** Only what is poison, what kills, or what was worked on when processes were killed, may be put aside. */
export function wronglyPutAside({ observer, world, rotten }: Host): readonly string[] {
  const texts = new Map([...world.sessions.values()].flatMap(({ messages }) => messages.map(({ id, text }) => [id, text])))
  return observer.deadLetters().flatMap(({ kind, message, code }) => {
    const text = texts.get(message ?? '') ?? ''
    const fits = {
      CRASHED_INDEXER: true,
      TEXT_REFUSED: text.includes('poison'),
      SINK_REFUSED: text.includes('refused'),
      WAL_DAMAGED: kind === 'record' && rotten,
    }
    return fits[code as keyof typeof fits] === true ? [] : [`${kind} ${message} was put aside with ${code}`]
  })
}

/** What two machines that did the same must both show. */
export function observable(host: Host): object {
  const { observer, sinks } = host
  // Notes of breakers are written while work goes on, so when they arrive is chance.
  const { breakers: _, ...status } = observer.status()
  return {
    status,
    sessions: observer.sessions(),
    ledgers: observer.spaces().map(({ id }) => observer.sessions().map(({ key }) => [id, key.session, [...observer.ledger(key, id)]])),
    letters: observer
      .deadLetters()
      .map(({ id: _, ...letter }) => JSON.stringify(letter))
      .sort(),
    pending: observer.pending(),
    nextRunAt: observer.nextRunAt(),
    sinks: [...sinks].map(([space, { rows }]) => [
      space,
      [...rows].map(([id, { metadata }]) => `${id} ${metadata.text_hash} ${metadata.rev}`).sort(),
    ]),
  }
}
