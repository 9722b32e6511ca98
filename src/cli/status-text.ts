/** The state of the index for people: one line that says how it is, then a line for each thing that there is to know. */
import type { BreakerStatus, IndexStatus, LeaseStatus, ResolvedConfig } from '../indexer/index.js'
import { describeSpace, settings } from '../indexer/index.js'
import { clip } from './columns.js'
import { elsewhereText, type Health, leftOutText, pendingOf } from './health.js'
import { ago, count, formatBytes, span } from './output.js'

export interface StatusView {
  readonly health: Health
  readonly status: IndexStatus
  readonly config: ResolvedConfig
  /** Where the documents of the live space are. */
  readonly sink: string
}

const LEASES_SHOWN = 5

export function statusText({ health, status, config, sink }: StatusView, now: number): string {
  const lines: readonly (readonly [string, string | undefined])[] = [
    ['indexed', indexed(status)],
    ['last listing', lastListing(status, now)],
    ['left out', status.leftOut > 0 ? leftOutText(status.leftOut) : undefined],
    ['last write', lastWrite(status, now)],
    ['pending', pending(status)],
    ...status.lanes.filter(({ ready, waiting }) => ready + waiting > 0).map((lane) => [`  ${lane.lane}`, laneText(lane)] as const),
    ...status.leases.slice(0, LEASES_SHOWN).map((lease) => ['  in work', leaseText(lease, now)] as const),
    ['  in work', status.leases.length > LEASES_SHOWN ? `and ${count(status.leases.length - LEASES_SHOWN, 'more session')}` : undefined],
    [
      '  suspects',
      status.suspects > 0 ? `${count(status.suspects, 'earlier owner')} may still have a write under way; their sessions are compared` : undefined,
    ],
    ['write-ahead log', wal(status)],
    ['put aside', status.dead === 0 ? 'nothing' : `${count(status.dead, 'text or record', 'texts or records')} (spanleaf retry --list)`],
    ['processes', processes(status, now)],
    ...status.spaces.map((space) => [space.state === 'live' ? 'embedder' : space.state, spaceText(space, status)] as const),
    ['sink', sink],
    ...status.breakers.filter(({ state }) => state !== 'closed').map((breaker) => [`${breaker.service} down`, breakerText(breaker, now)] as const),
    ['embedded', embedded(status)],
    ['secrets', status.counters.redacted > 0 ? `${count(status.counters.redacted, 'secret')} taken out of texts` : undefined],
    ['in all', totals(status)],
    ['last tick', lastTick(status, now)],
    ['last error', status.lastError === null ? undefined : errorText(status.lastError, now)],
    ['settings', settingsText(config)],
  ]
  const shown = lines.flatMap(([name, text]) => (text === undefined ? [] : [`  ${name.padEnd(16)}${clip(text)}`]))
  return [`${health.state}: ${clip(health.reason)}`, ...shown].join('\n')
}

function indexed({ ledger }: IndexStatus): string {
  const cut = ledger.truncatedBytes > 0 ? `; ${formatBytes(ledger.truncatedBytes)} of very long messages left out` : ''
  const bad = ledger.quarantined > 0 ? `; ${count(ledger.quarantined, 'message')} with a text that was put aside` : ''
  return `${count(ledger.documents, 'document')} of ${count(ledger.messages, 'message')} in ${count(ledger.sessions, 'session')}${cut}${bad}`
}

/** Versions before the one that notes its time leave documents without it. */
function lastListing({ listing }: IndexStatus, now: number): string {
  if (listing === null) return 'never'
  const elsewhere = listing.elsewhere === undefined ? '' : `; ${elsewhereText(listing.elsewhere)}`
  return `${count(listing.sessions, 'session')}, ${ago(listing.at, now)}${elsewhere}`
}

function lastWrite({ lastUpsertAt, ledger }: IndexStatus, now: number): string {
  if (lastUpsertAt !== null) return `acknowledged by the sink ${ago(lastUpsertAt, now)}`
  return ledger.documents === 0 ? 'never' : 'by an earlier version of spanleaf'
}

function pending(status: IndexStatus): string {
  if (pendingOf(status) === 0) return 'nothing'
  const { ready, leased, backoff } = status.queue
  return `${ready} ready, ${leased} being indexed, ${backoff} for later; the oldest for ${span(status.oldestPendingAgeMs ?? 0)}`
}

function laneText({ ready, waiting, oldestAgeMs }: IndexStatus['lanes'][number]): string {
  return `${ready} ready, ${waiting} for later${oldestAgeMs === null ? '' : `, the oldest for ${span(oldestAgeMs)}`}`
}

function leaseText({ key, pid, ageMs, expiresInMs, abandoned }: LeaseStatus, now: number): string {
  if (abandoned) return `${key.session} by process ${pid}, which has died; the next run takes it over`
  const end = expiresInMs < 0 ? `ran out ${ago(now + expiresInMs, now)}` : `${span(expiresInMs)} left`
  return `${key.session} by process ${pid} for ${span(ageMs)}, ${end}`
}

function wal({ wal: { records, bytes, oldestAgeMs } }: IndexStatus): string {
  if (records === 0) return 'empty'
  return `${count(records, 'record')}, ${formatBytes(bytes)}${oldestAgeMs === null ? '' : `, the oldest for ${span(oldestAgeMs)}`} (spanleaf wal)`
}

function processes({ running }: IndexStatus, now: number): string {
  if (running.length === 0) return 'none keeps the index up to date (spanleaf index --watch)'
  return running.map(({ pid, since }) => `process ${pid} for ${span(now - since)}`).join(', ')
}

function spaceText({ space, state }: IndexStatus['spaces'][number], { toRebuild }: IndexStatus): string {
  if (state === 'building') return `${describeSpace(space)}: ${count(toRebuild, 'session')} to go; until then the earlier one is searched`
  return state === 'retiring' ? `${describeSpace(space)}: its documents are being deleted` : describeSpace(space)
}

function breakerText({ state, failure, since, retryAt }: BreakerStatus, now: number): string {
  const why = failure === undefined ? '' : `${failure.code}: ${failure.reason}; `
  const next =
    state === 'half-open'
      ? 'being tried now'
      : `tried again ${retryAt === undefined || retryAt <= now ? 'at the next call' : `in ${span(retryAt - now)}`}`
  return `${why}since ${span(now - since)}, ${next}`
}

function embedded({ counters }: IndexStatus): string {
  const texts = counters.embedded + counters.cached
  const share = texts === 0 ? '' : ` (${Math.round((100 * counters.cached) / texts)} %)`
  const cut = counters.truncated === 0 ? '' : `; ${count(counters.truncated, 'text')} cut at the context of the model`
  return `${count(counters.embedded, 'text')}; ${counters.cached.toLocaleString('en')} more came from the cache${share}${cut}`
}

function totals({ counters }: IndexStatus): string {
  const { claims, upserts, deletes, replays, takeovers, repairs, failures, deferrals, scans } = counters
  const counted: readonly [number, string, string][] = [
    [claims, 'claim', 'claims'],
    [upserts, 'document written', 'documents written'],
    [deletes, 'deleted', 'deleted'],
    [scans, 'scanned', 'scanned'],
    [replays, 'record sent again', 'records sent again'],
    [takeovers, 'takeover', 'takeovers'],
    [repairs, 'repair', 'repairs'],
    [failures, 'failure', 'failures'],
    [deferrals, 'deferral', 'deferrals'],
  ]
  return counted.flatMap(([number, one, many]) => (number > 0 ? [count(number, one, many)] : [])).join(', ') || 'nothing yet'
}

function lastTick({ lastTick: tick, counters }: IndexStatus, now: number): string | undefined {
  if (tick === null) return undefined
  const all = `; ${count(counters.tickSessions, 'session')} and ${count(counters.tickMessages, 'message')} in ${count(counters.ticks, 'tick')}`
  return `${ago(tick.at, now)}, ${count(tick.sessions, 'session')} and ${count(tick.messages, 'message')} in ${span(tick.durationMs)}${all}`
}

function errorText({ code, reason, at, key }: NonNullable<IndexStatus['lastError']>, now: number): string {
  return `${code}: ${reason}${key === undefined ? '' : ` (${key})`}, ${ago(at, now)}`
}

/** What differs from the defaults, and where it was chosen; no secret. */
function settingsText({ values, origins }: ResolvedConfig): string {
  const chosen = settings().filter(([name]) => origins[name] !== 'default')
  const shown = chosen.map(([name, setting]) => `${name}=${'secret' in setting && setting.secret ? '(set)' : values[name]} (${origins[name]})`)
  return shown.join(', ') || 'all defaults (docs/configuration.md)'
}
