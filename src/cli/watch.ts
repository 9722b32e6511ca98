/** spanleaf index --watch: keeps the index up to date until it is stopped; says what changed in a line each. */
import { once } from 'node:events'
import type { Sessions } from '../index.js'
import { StorageError } from '../index.js'
import { createIndexer, type IndexHome, type IndexProgress } from '../indexer/index.js'
import { failpointOf } from './failpoint.js'
import { count, print, printJson } from './output.js'

/** Resolves once it was stopped, and everything that was paid for is put down. @throws StorageError when it cannot go on */
export async function watchIndex(
  sessions: Sessions,
  home: IndexHome,
  { json = false }: { readonly json?: boolean },
  signal: AbortSignal,
): Promise<void> {
  const broken = new AbortController()
  const say = (event: IndexProgress): void => {
    if (json) void jsonOf(event).forEach((line) => void printJson(line).catch(() => undefined))
    else for (const line of linesOf(event)) process.stderr.write(`${new Date().toTimeString().slice(0, 8)} ${line}\n`)
    // The loop has ended for good when it says so of itself.
    if (event.kind === 'error' && event.during === 'loop') setImmediate(() => !indexer.status().started && broken.abort(event.error))
  }
  const indexer = createIndexer({ ...home, sessions, failpoint: failpointOf(process.env), onProgress: say })
  try {
    await indexer.start()
    const { ledger } = indexer.status()
    if (!json)
      process.stderr.write(`watching ${count(sessions.index.stats().sessions, 'session')}, ${ledger.sessions} known to the index; Ctrl-C stops\n`)
    await ended(AbortSignal.any([signal, broken.signal]))
    await indexer.stop()
  } finally {
    await indexer[Symbol.asyncDispose]()
  }
  if (broken.signal.aborted && !signal.aborted) throw stoppedBy(broken.signal.reason)
  if (!json) await print('stopped; what is left goes on with the next run')
}

async function ended(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  // A promise keeps no process alive.
  const alive = setInterval(() => undefined, 2 ** 30)
  try {
    await once(signal, 'abort')
  } finally {
    clearInterval(alive)
  }
}

function stoppedBy(error: unknown): unknown {
  return error instanceof StorageError
    ? error
    : new StorageError('STATE_UNAVAILABLE', { reason: `indexing stopped: ${String(error)}` }, { cause: error })
}

/** A change is worth a line; that a session was looked at is not. */
function linesOf(event: IndexProgress): readonly string[] {
  switch (event.kind) {
    case 'committed': {
      const { key, documents, deleted, replayed } = event
      if (documents + deleted === 0) return []
      const parts = [...(documents > 0 ? [`${count(documents, 'document')} written`] : []), ...(deleted > 0 ? [`${deleted} deleted`] : [])]
      return [`${key.session}: ${parts.join(', ')}${replayed ? ' (kept from an earlier run)' : ''}`]
    }
    case 'removed':
      return [`${event.key.session}: removed`]
    case 'repaired':
      return [`${event.key.session}: ${count(event.documents, 'document')} repaired`]
    case 'quarantined':
      return [`${event.key.session}: a text was put aside (${event.code}); spanleaf retry --list`]
    case 'failed':
      return [`${event.key.session}: ${event.failure.code}: ${event.failure.reason}; tried again later`]
    case 'lost':
      return [`${event.key.session}: another process took it over`]
    case 'left-out':
      return [`${event.key.session}: left out (${event.code})`]
    case 'breaker':
      return [breakerLine(event.breaker)]
    case 'space':
      return [`${event.space.space} is ${event.space.state}`]
    case 'error':
      return [`${event.during}: ${event.failure.code}: ${event.failure.reason}; tried again later`]
    case 'claimed':
    case 'released':
    case 'deferred':
    case 'observed':
      return []
    default:
      return event satisfies never
  }
}

function breakerLine({ service, state, failure }: Extract<IndexProgress, { kind: 'breaker' }>['breaker']): string {
  if (state === 'closed') return `the ${service} answers again`
  return `the ${service} is ${state === 'open' ? 'down' : 'tried again'}${failure === undefined ? '' : `: ${failure.code}: ${failure.reason}`}`
}

function jsonOf(event: IndexProgress): readonly object[] {
  if (linesOf(event).length === 0) return []
  const { key, error: _, ...rest } = { key: undefined, error: undefined, ...event }
  return [{ at: Date.now(), ...rest, ...(key !== undefined && { agent: key.agent, session: key.session }) }]
}
