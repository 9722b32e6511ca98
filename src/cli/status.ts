/** spanleaf status: the state of the index. */
import type { Command } from 'commander'
import { hasIndex, type IndexStatus, openIndexHome } from '../indexer/index.js'
import { type CommonOptions, command, homeOf } from './command.js'
import { count, formatBytes, print, printJson } from './output.js'

const EMPTY: IndexStatus = {
  queue: { ready: 0, leased: 0, backoff: 0 },
  wal: { records: 0, bytes: 0 },
  ledger: { sessions: 0, messages: 0, documents: 0, truncatedBytes: 0 },
  oldestPendingAgeMs: null,
  lastError: null,
  dead: 0,
  counters: { embedded: 0, cached: 0, commits: 0, replays: 0, upserts: 0, deletes: 0, failures: 0, takeovers: 0, quarantined: 0 },
}

export function statusCommand(): Command {
  return command('status', 'tell what is indexed, what is pending and what went wrong last', { narrows: false }).action((options: CommonOptions) =>
    status(options),
  )
}

async function status(options: CommonOptions): Promise<void> {
  const folder = homeOf(options)
  if (!hasIndex(folder)) {
    if (options.json) await printJson(EMPTY)
    else await print('Nothing is indexed yet. Run `spanleaf index`.')
    return
  }
  const home = await openIndexHome({ home: folder })
  try {
    const now = home.state.status()
    if (options.json) {
      await printJson(now)
      return
    }
    const { queue, wal, ledger, oldestPendingAgeMs, lastError, dead } = now
    await print(`indexed: ${count(ledger.documents, 'document')} of ${count(ledger.messages, 'message')} in ${count(ledger.sessions, 'session')}`)
    const age = oldestPendingAgeMs === null ? '' : `, the oldest for ${Math.round(oldestPendingAgeMs / 1000)} s`
    await print(`pending: ${queue.ready} ready, ${queue.leased} being indexed, ${queue.backoff} waiting${age}`)
    await print(`embedded but not yet in the sink: ${count(wal.records, 'record')}, ${formatBytes(wal.bytes)}`)
    if (dead > 0) await print(`put aside: ${count(dead, 'record')}`)
    if (lastError !== null) await print(`last error: ${lastError.code}`)
  } finally {
    await home.close()
  }
}
