#!/usr/bin/env node
/** The command line. Exit status: 0 done, 1 it could not be done, 2 wrong usage, 3 damage or differences found, 130 interrupted. */
import { readFileSync } from 'node:fs'
import { Command, CommanderError } from 'commander'
import { StorageError } from '../index.js'
import { forgetCommand } from './forget.js'
import { indexCommand } from './index-command.js'
import { lsCommand } from './ls.js'
import { endWithReader, warn } from './output.js'
import { planCommand } from './plan.js'
import { resetCommand } from './reset.js'
import { retryCommand } from './retry.js'
import { searchCommand } from './search.js'
import { showCommand } from './show.js'
import { spansCommand } from './spans.js'
import { statusCommand } from './status.js'
import { storesCommand } from './stores.js'
import { tailCommand } from './tail.js'
import { verifyCommand } from './verify.js'
import { walCommand } from './wal.js'

const USAGE = 2
const INTERRUPTED = 130

process.exitCode = await run(process.argv)

async function run(argv: readonly string[]): Promise<number> {
  hideSqliteWarning()
  const interruption = new AbortController()
  let unread: number | undefined
  endWithReader((status) => {
    unread = status
    interruption.abort()
  })
  const interrupt = (signal: NodeJS.Signals): void => {
    if (!interruption.signal.aborted) {
      interruption.abort()
      return
    }
    // A second one ends the process as signals do; see `endWithReader`.
    process.off('SIGINT', interrupt)
    process.off('SIGTERM', interrupt)
    process.kill(process.pid, signal)
  }
  process.on('SIGINT', interrupt)
  process.on('SIGTERM', interrupt)
  try {
    await program(interruption.signal).parseAsync(argv)
    return unread ?? Number(process.exitCode ?? 0)
  } catch (error) {
    return unread ?? exitStatus(error, interruption.signal)
  } finally {
    process.off('SIGINT', interrupt)
    process.off('SIGTERM', interrupt)
  }
}

function program(signal: AbortSignal): Command {
  const root = new Command('spanleaf')
    .description('Read and search the sessions of coding agents.')
    .version(version(), '--version')
    .showHelpAfterError('(see --help)')
    .exitOverride()
  const commands = [
    storesCommand,
    lsCommand,
    showCommand,
    tailCommand,
    searchCommand,
    indexCommand,
    statusCommand,
    forgetCommand,
    retryCommand,
    resetCommand,
    walCommand,
    verifyCommand,
    planCommand,
    spansCommand,
  ]
  for (const make of commands) root.addCommand(make(signal).exitOverride().showHelpAfterError('(see --help)'))
  return root
}

/** Prints the one sentence that there is to say. Commander has printed its own. */
function exitStatus(error: unknown, signal: AbortSignal): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : USAGE
  if (signal.aborted) return INTERRUPTED
  if (error instanceof StorageError) {
    if (error.code !== 'INVALID_OPTION') warn(error.message)
    else warn(`${error.reason}${error.path === undefined ? '' : ` (${error.path})`}`)
    return error.code === 'INVALID_OPTION' ? USAGE : 1
  }
  warn(`this is a bug, please report it: ${error instanceof Error ? error.message : String(error)} (SPANLEAF_DEBUG=1 tells where)`)
  if (process.env.SPANLEAF_DEBUG && error instanceof Error) process.stderr.write(`${error.stack ?? ''}\n`)
  return 1
}

function version(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}

/** Node 22 announces node:sqlite as experimental on every start; that is nothing a reader of sessions can act on. */
function hideSqliteWarning(): void {
  const listeners = process.listeners('warning')
  process.removeAllListeners('warning')
  process.on('warning', (warning) => {
    if (warning.name === 'ExperimentalWarning' && warning.message.includes('SQLite')) return
    for (const listener of listeners) listener(warning)
  })
}
