/**
 * The state of the index in memory: the model of the port, plain enough to be right by inspection, and of use where nothing is to be kept.
 *
 * Each transition works on a copy of the rows that takes their place when it ends well. What goes in and what comes out is copied.
 * Several handles on one place are as several processes on one state.
 */
import { type Clock, systemClock } from '../../../core/clock.js'
import { StorageError } from '../../../core/errors.js'
import { checkClock, checkNumber, LONGEST_MS, withDefaults } from '../../../core/options.js'
import { type OwnerProbe, procOwners } from '../../../tree/catalog/owner.js'
import { type LocalIndexStore, MAX_ID_BYTES } from '../state.js'
import { type IndexNote, listingOf } from '../status.js'
import { decodeWal } from '../wal-codec.js'
import { dropDead, lettersOf, quarantine, reset, retryDead } from './dead.js'
import { lostOwner, slowScan, sweep, verify } from './leases.js'
import { claim, type Due, type Moment, observe, release, renew, wake } from './queue.js'
import { appendRecord, commit, deletionOf, forget, probe, remove } from './records.js'
import { copyOf, count, ledgerOf, type MemoryRows, noRows, sessionsOf, workedIn } from './rows.js'
import { bind, cutOver, inOrder, retire, retiring } from './spaces.js'
import { knownSessions, nextRunAt, pendingSessions, statusOf } from './status.js'

/** What several handles share. */
export interface MemoryStatePlace {
  rows: MemoryRows
}

export function memoryStatePlace(): MemoryStatePlace {
  return { rows: noRows() }
}

export interface MemoryStateOptions {
  /** @default one of its own */
  readonly place?: MemoryStatePlace | undefined
  /** @default the system's */
  readonly clock?: Clock | undefined
  /** @default read from /proc */
  readonly owners?: OwnerProbe | undefined
  /** Milliseconds; renewed long before. @default 300_000 */
  readonly leaseMs?: number | undefined
  /** The longest backoff, in milliseconds; a stored time further ahead is due. @default 120_000 */
  readonly maxDelayMs?: number | undefined
}

const DEFAULTS = {
  place: undefined as MemoryStatePlace | undefined,
  clock: systemClock,
  owners: undefined as OwnerProbe | undefined,
  leaseMs: 300_000,
  maxDelayMs: 120_000,
}

/** @throws StorageError INVALID_OPTION */
export function memoryState(options: MemoryStateOptions = {}): LocalIndexStore {
  const settings = withDefaults<typeof DEFAULTS>(DEFAULTS, options)
  for (const name of ['leaseMs', 'maxDelayMs'] as const) checkNumber(name, settings[name], 1, LONGEST_MS)
  checkClock('clock', settings.clock)
  return storeOn({ ...settings, place: settings.place ?? memoryStatePlace(), owners: settings.owners ?? procOwners() })
}

interface Settings {
  readonly place: MemoryStatePlace
  readonly clock: Clock
  readonly owners: OwnerProbe
  readonly leaseMs: number
  readonly maxDelayMs: number
}

/** One process on the place. */
interface Handle extends Settings {
  readonly moment: () => Moment & Due
  readonly rows: () => MemoryRows
  readonly read: <T>(look: (rows: MemoryRows) => T) => T
  readonly transact: <T>(change: (rows: MemoryRows) => T) => Promise<T>
  /** The space that the process is bound to. */
  bound: string | undefined
}

function storeOn(settings: Settings): LocalIndexStore {
  const { place, clock, maxDelayMs } = settings
  let closed = false
  const rows = (): MemoryRows => {
    if (closed) throw new StorageError('STATE_UNAVAILABLE', { reason: 'the index is closed' })
    return place.rows
  }
  const handle: Handle = {
    ...settings,
    bound: undefined,
    moment: () => ({ now: clock.now(), monotonic: clock.monotonic(), maxDelayMs }),
    rows,
    read: (look) => structuredClone(look(rows())),
    async transact(change) {
      const draft = copyOf(rows())
      const result = change(draft)
      place.rows = draft
      return structuredClone(result)
    },
  }
  return {
    ...spacesOf(handle),
    ...queueOf(handle),
    ...leasesOf(handle),
    ...recordsOf(handle),
    ...readsOf(handle),
    async [Symbol.asyncDispose]() {
      closed = true
    },
  }
}

function spacesOf(handle: Handle) {
  const { transact, read, moment } = handle
  return {
    async bind(identity, { rebuild = false } = {}) {
      const space = await transact((rows) => bind(rows, identity, rebuild, moment()))
      handle.bound = space.id
      return space
    },
    identity: () =>
      read(({ spaces, namespace }) => {
        const live = spaces.find(({ state }) => state === 'live')
        return live === undefined || namespace === undefined ? undefined : { space: live.space, namespace }
      }),
    spaces: () => read(({ spaces }) => inOrder(spaces)),
    cutOver: () => transact(cutOver),
    retiring: (space, limit) => read((rows) => retiring(rows, space, limit).map(({ key, message, row }) => ({ key, message, row }))),
    retire: (space, gone) => transact((rows) => retire(rows, space, structuredClone(gone), moment())),
  } satisfies Partial<LocalIndexStore>
}

function queueOf(handle: Handle) {
  const { transact, moment, owners, leaseMs } = handle
  return {
    observe: (page) =>
      transact((rows) => {
        for (const { key } of page.seen) checkId(key.session)
        observe(rows, structuredClone(page), moment())
      }),
    wake: (keys, lane) =>
      transact((rows) => {
        const known = sessionsOf(rows, keys)
        for (const session of known) wake(rows, session, lane, moment())
        return known.length
      }),
    claim: (request = {}) => transact((rows) => claim(rows, request, { ...moment(), owner: owners.self(), ttl: leaseMs, bound: handle.bound })),
    renew: (held) => transact((rows) => renew(rows, held, leaseMs, moment())),
    release: (held, outcome) => transact((rows) => release(rows, held, structuredClone(outcome), moment())),
  } satisfies Partial<LocalIndexStore>
}

function leasesOf({ transact, moment, owners, clock }: Handle) {
  return {
    sweep: () => transact((rows) => sweep(rows, owners.isGone, moment())),
    lost: (held) => transact((rows) => lostOwner(rows, held, moment())),
    verify: (keys) => transact((rows) => verify(rows, keys, moment())),
    slowScan: (options) => transact((rows) => slowScan(rows, options, moment())),
    note: (note) => transact((rows) => remember(rows, structuredClone(note))),
    running: (is) =>
      transact((rows) => {
        const self = owners.self()
        const others = rows.running.filter(({ owner }) => owner.pid !== self.pid || owner.boot !== self.boot)
        rows.running = is ? [...others, { owner: self, since: clock.now() }] : others
      }),
  } satisfies Partial<LocalIndexStore>
}

function recordsOf({ transact, moment, clock }: Handle) {
  return {
    walAppend: (held, record) =>
      transact((rows) => {
        for (const { message } of record.ledger) checkId(message)
        return appendRecord(rows, held, record)
      }),
    commit: (held, change) =>
      transact((rows) => {
        for (const { message } of change.ledger ?? []) checkId(message)
        commit(rows, held, structuredClone(change), clock.now())
      }),
    remove: (held) => transact((rows) => remove(rows, held)),
    forget: (held, deletes, space = held.space) => transact((rows) => forget(rows, held, deletionOf({ ...held, space }, deletes, clock.now()))),
    quarantine: (held, seq) => transact((rows) => quarantine(rows, held, seq, moment())),
    probe: (held, message) => transact((rows) => probe(rows, held, message)),
    reset: (keys) => transact((rows) => reset(rows, keys, moment())),
    retryDead: (ids) => transact((rows) => retryDead(rows, ids, moment())),
    dropDead: (ids) => transact((rows) => dropDead(rows, ids)),
  } satisfies Partial<LocalIndexStore>
}

function readsOf(handle: Handle) {
  const { read, rows, owners, moment } = handle
  return {
    walRead(seq) {
      const { head, matrix } = rows().wal.get(seq) ?? {}
      return decodeWal({ head, matrix })
    },
    ledger: (key, space) =>
      read((rows) => new Map(ledgerOf(rows, key, space ?? handle.bound ?? workedIn(rows)?.id ?? '').map(({ message, row }) => [message, row]))),
    sessions: () => read(knownSessions),
    pending: () => read(pendingSessions),
    deadLetters: () => read((rows) => lettersOf(rows).map(({ letter }) => letter)),
    status: () => read((rows) => statusOf(rows, owners.isGone, moment())),
    nextRunAt: (lanes) => nextRunAt(rows(), lanes, handle.bound, moment()),
  } satisfies Partial<LocalIndexStore>
}

/** As an engine with keys of bounded length would. @throws StorageError KEY_TOO_LONG */
function checkId(id: string): void {
  if (Buffer.byteLength(id) > MAX_ID_BYTES) throw new StorageError('KEY_TOO_LONG', { reason: 'an id does not fit the keys of the index', key: id })
}

function remember(rows: MemoryRows, note: IndexNote): void {
  switch (note.kind) {
    case 'tick':
      rows.lastTick = note.tick
      count(rows, 'ticks', 1)
      count(rows, 'tickSessions', note.tick.sessions)
      count(rows, 'tickMessages', note.tick.messages)
      return
    case 'listing':
      rows.listing = listingOf(note)
      return
    case 'breaker':
      rows.breakers.set(note.breaker.service, note.breaker)
      return
    case 'count':
      count(rows, note.name, note.by)
  }
}
