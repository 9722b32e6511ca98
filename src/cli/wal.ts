/** spanleaf wal: what is embedded and not yet in the sink; --recover sends it. */
import type { Command } from 'commander'
import { openSessions, type Sessions, StorageError } from '../index.js'
import { createIndexer, hasIndex, indexFolder, noSessions, openLmdbState, type SessionSource, sessionSource } from '../indexer/index.js'
import { command, homeOf, positiveNumber } from './command.js'
import { failpointOf } from './failpoint.js'
import { openHome } from './home.js'
import { count, formatBytes, print, printJson, span } from './output.js'
import { type ServiceOptions, withServices } from './services.js'

interface WalOptions extends ServiceOptions {
  readonly recover?: boolean
  readonly limit?: number
}

export function walCommand(signal: AbortSignal): Command {
  const made = command('wal', { narrows: false })
    .option('--recover', 'send it now; reads no session and embeds nothing')
    .option('--limit <n>', 'with --recover: at most so many records', positiveNumber)
  return withServices(made).action((options: WalOptions) => wal(options, signal))
}

async function wal(options: WalOptions, signal: AbortSignal): Promise<void> {
  const folder = homeOf(options)
  if (options.limit !== undefined && options.recover !== true) throw new StorageError('INVALID_OPTION', { reason: '--limit goes with --recover' })
  if (!hasIndex(folder)) {
    if (options.json)
      await printJson(options.recover ? { records: 0, documents: 0, left: 0 } : { records: 0, bytes: 0, oldestAgeMs: null, sessions: [] })
    else await print('The write-ahead log is empty: nothing is indexed yet.')
  } else if (options.recover) await recover(options, signal)
  else await list(options, folder)
}

async function list(options: WalOptions, folder: string): Promise<void> {
  await using state = await openLmdbState({ directory: indexFolder(folder) })
  const { records, bytes, oldestAgeMs } = state.status().wal
  const now = Date.now()
  const sessions = state.pending().map(({ key, documents, bytes: size, createdAt }) => {
    return { agent: key.agent, session: key.session, documents, bytes: size, ageMs: Math.max(0, now - createdAt) }
  })
  if (options.json) {
    await printJson({ records, bytes, oldestAgeMs, sessions })
    return
  }
  if (records === 0) {
    await print('The write-ahead log is empty: everything that was embedded is in the sink.')
    return
  }
  await print(
    `${count(records, 'record')}, ${formatBytes(bytes)}${oldestAgeMs === null ? '' : `, the oldest for ${span(oldestAgeMs)}`}; send them with --recover`,
  )
  for (const { session, documents, bytes: size, ageMs } of sessions)
    await print(`  ${session}  ${count(documents, 'document')}, ${formatBytes(size)}, ${span(ageMs)} old`)
}

async function recover(options: WalOptions, signal: AbortSignal): Promise<void> {
  await using home = await openHome(options, { signal })
  await using sessions = home.exclude().sessions.length === 0 ? undefined : await openIfAny(options, signal)
  await using indexer = createIndexer({ ...home, sessions: listedOnly(sessions), failpoint: failpointOf(process.env) })
  const before = home.state.status().wal.records
  const { records, documents } = await indexer.walRecover({ limit: options.limit ?? Math.max(1, before), signal })
  const left = home.state.status().wal.records
  if (options.json) await printJson({ records, documents, left })
  else
    await print(
      `${count(records, 'record')} sent, ${count(documents, 'document')}${left > 0 ? `; ${left} left, see spanleaf status` : '; the log is empty'}.`,
    )
  signal.throwIfAborted()
  if (left > 0 && options.limit === undefined) process.exitCode = 1
}

/** They tell what an excluded session started. */
async function openIfAny({ data }: WalOptions, signal: AbortSignal): Promise<Sessions | undefined> {
  try {
    return await openSessions({ ...(data && { data }), signal })
  } catch (error) {
    if (!(error instanceof StorageError) || data !== undefined) throw error
    return undefined
  }
}

function listedOnly(sessions: Sessions | undefined): SessionSource {
  return sessions === undefined ? noSessions : { ...noSessions, list: (signal) => sessionSource(sessions).list(signal) }
}
