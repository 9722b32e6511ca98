/** spanleaf status: whether the index is alive, and all that is known of it. Asks no service. */
import type { Command } from 'commander'
import {
  describePlace,
  hasIndex,
  type IndexStatus,
  indexFolder,
  openLmdbState,
  type ResolvedConfig,
  readHomeRecord,
  type SettingName,
  settings,
} from '../indexer/index.js'
import { type CommonOptions, command, homeOf } from './command.js'
import { type Health, healthOf } from './health.js'
import { configOf } from './home.js'
import { print, printJson } from './output.js'
import { statusText } from './status-text.js'

export function statusCommand(): Command {
  return command('status', { narrows: false }).action((options: CommonOptions) => status(options))
}

async function status(options: CommonOptions): Promise<void> {
  const folder = homeOf(options)
  const config = configOf(options)
  const now = Date.now()
  if (!hasIndex(folder)) {
    if (options.json) await printJson(statusJson(EMPTY, healthOf(EMPTY, now), config, null))
    else await print('Nothing is indexed yet. Run `spanleaf index`.')
    return
  }
  const directory = indexFolder(folder)
  await using state = await openLmdbState({ directory })
  const found = state.status()
  const health = healthOf(found, now)
  const place = readHomeRecord(directory).sinks[found.spaces[0]?.id ?? '']
  const sink = place === undefined ? null : describePlace(place)
  if (options.json) await printJson(statusJson(found, health, config, sink))
  else await print(statusText({ health, status: found, config, sink: sink ?? 'local' }, now))
}

const NO_COUNTERS: IndexStatus['counters'] = {
  claims: 0,
  embedded: 0,
  cached: 0,
  commits: 0,
  messages: 0,
  replays: 0,
  replayedDocuments: 0,
  upserts: 0,
  deletes: 0,
  failures: 0,
  deferrals: 0,
  takeovers: 0,
  scans: 0,
  repairs: 0,
  quarantined: 0,
  redacted: 0,
  truncated: 0,
  ticks: 0,
  tickSessions: 0,
  tickMessages: 0,
}

/** Of an index that was never used. */
export const EMPTY: IndexStatus = {
  queue: { ready: 0, leased: 0, backoff: 0 },
  lanes: [],
  leases: [],
  suspects: 0,
  wal: { records: 0, bytes: 0, oldestAgeMs: null },
  ledger: { sessions: 0, messages: 0, documents: 0, quarantined: 0, truncatedBytes: 0 },
  leftOut: 0,
  oldestPendingAgeMs: null,
  lastUpsertAt: null,
  oldestCheckedAgeMs: null,
  lastError: null,
  dead: 0,
  spaces: [],
  toRebuild: 0,
  running: [],
  lastTick: null,
  listing: null,
  breakers: [],
  counters: NO_COUNTERS,
}

function statusJson(status: IndexStatus, health: Health, config: ResolvedConfig, sink: string | null): object {
  const { breakers, leases, lastError } = status
  return {
    health,
    ...status,
    leases: leases.map(({ key, ...lease }) => ({ agent: key.agent, session: key.session, ...lease })),
    breakers: breakers.map((breaker) => ({ ...breaker, failure: breaker.failure ?? null, retryAt: breaker.retryAt ?? null })),
    lastError: lastError && { ...lastError, key: lastError.key ?? null, over: lastError.over === true },
    sink,
    stats: statsOf(status, config),
    settings: Object.fromEntries(settings().map(([name, setting]) => [name, shown(name, 'secret' in setting && setting.secret === true, config)])),
  }
}

/** What the draft of the indexer calls IndexerStats. */
function statsOf({ running, lastTick, counters, lastError, listing }: IndexStatus, { values }: ResolvedConfig): object {
  return {
    running: running.length > 0,
    pollMs: values.pollMs,
    lastTickAt: lastTick?.at ?? null,
    lastTickDurationMs: lastTick?.durationMs ?? null,
    lastTickSessions: lastTick?.sessions ?? 0,
    lastTickMessages: lastTick?.messages ?? 0,
    totalTickSessions: counters.tickSessions,
    totalTickMessages: counters.tickMessages,
    walReplayedBatches: counters.replays,
    walReplayedDocs: counters.replayedDocuments,
    lastError: lastError === null ? null : `${lastError.code}: ${lastError.reason}`,
    sessionListFetchedAt: listing?.at ?? null,
    sessionListCount: listing?.sessions ?? 0,
  }
}

function shown(name: SettingName, secret: boolean, { values, origins }: ResolvedConfig): object {
  const value = values[name]
  return { value: secret && value !== undefined ? '(set)' : (value ?? null), from: origins[name] }
}
