/** spanleaf reset: reads sessions and writes their documents anew. */
import type { Command } from 'commander'
import { isSafeId, type SessionKey, StorageError } from '../index.js'
import { hasIndex, type IndexHome } from '../indexer/index.js'
import { command, homeOf, refuseNoIndex, withSessions } from './command.js'
import { openHome } from './home.js'
import { printRun, runIndex } from './run-index.js'
import { type ServiceOptions, withServices } from './services.js'

interface ResetOptions extends ServiceOptions {
  readonly all?: boolean
}

export function resetCommand(signal: AbortSignal): Command {
  const made = command('reset', { narrows: false }).argument('[id...]', 'the ids of the sessions').option('--all', 'every session of the index')
  return withServices(made).action((ids: readonly string[], options: ResetOptions) => reset(ids, options, signal))
}

async function reset(ids: readonly string[], options: ResetOptions, signal: AbortSignal): Promise<void> {
  if ((ids.length === 0) !== (options.all === true))
    throw new StorageError('INVALID_OPTION', { reason: 'reset takes either ids of sessions or --all' })
  for (const id of ids) if (!isSafeId(id)) throw new StorageError('INVALID_ID', { reason: `${JSON.stringify(id)} is no session id` })
  if (!hasIndex(homeOf(options))) refuseNoIndex()
  await withSessions(options, signal, async (sessions) => {
    await using home = await openHome(options, { sessions, signal })
    await home.state.reset(options.all ? undefined : keysOf(ids, home))
    await printRun(home, await runIndex(sessions, home, signal), options)
    signal.throwIfAborted()
  })
}

/** @throws StorageError NOT_FOUND */
function keysOf(ids: readonly string[], { state }: IndexHome): readonly SessionKey[] {
  const known = state.sessions().map(({ key }) => key)
  return ids.flatMap((id) => {
    const keys = known.filter(({ session }) => session === id)
    if (keys.length === 0) throw new StorageError('NOT_FOUND', { reason: `the index does not know ${JSON.stringify(id)}` })
    return keys
  })
}
