/** spanleaf index --watch: keeps the index up to date until it is stopped, and says what changed. */
import { once } from 'node:events'
import { type Sessions, StorageError } from '../index.js'
import { createIndexer, type IndexHome, type IndexProgress } from '../indexer/index.js'
import { failpointOf } from './failpoint.js'
import { count } from './output.js'
import { WatchLines } from './watch-lines.js'

/** Resolves once it was stopped, and everything that was paid for is put down. @throws StorageError when it cannot go on */
export async function watchIndex(
  sessions: Sessions,
  home: IndexHome,
  { json = false }: { readonly json?: boolean | undefined },
  signal: AbortSignal,
): Promise<void> {
  const broken = new AbortController()
  const lines = new WatchLines({ json })
  const indexer = createIndexer({
    ...home,
    sessions,
    failpoint: failpointOf(process.env),
    onProgress(event: IndexProgress) {
      lines.add(event)
      // The loop has ended for good when it says so of itself and is not running afterwards.
      if (event.kind === 'error' && event.during === 'loop') setImmediate(() => void endIfOver(event.error))
    },
  })
  const endIfOver = async (error: unknown): Promise<void> => {
    // A state that cannot be read now is for the loop to try again.
    const isOver = await indexer.status().then(
      ({ started }) => !started,
      () => false,
    )
    if (isOver) broken.abort(error)
  }
  try {
    await indexer.start()
    lines.say(`watching ${count(sessions.index.stats().sessions, 'session')}; Ctrl-C stops`)
    await aborted(AbortSignal.any([signal, broken.signal]))
    lines.say('stopping; an embedding that is under way is let end, a second signal does not wait for it')
    await indexer.stop()
  } finally {
    await indexer[Symbol.asyncDispose]()
    lines.end()
  }
  if (broken.signal.aborted && !signal.aborted) throw reasonOf(broken.signal)
  lines.say('stopped; what is left goes on with the next run')
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  // A promise keeps no process alive.
  const alive = setInterval(() => undefined, 2 ** 30)
  try {
    await once(signal, 'abort')
  } finally {
    clearInterval(alive)
  }
}

function reasonOf({ reason }: AbortSignal): unknown {
  return reason instanceof StorageError ? reason : new StorageError('STATE_UNAVAILABLE', { reason: `indexing stopped: ${String(reason)}` })
}
