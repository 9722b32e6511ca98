#!/usr/bin/env node
/** The command line. Exit status: 0 done, 1 it could not be done, 2 wrong usage, 3 damage or differences found, 130 interrupted. */
import { readFileSync } from 'node:fs'
import type { Command, OutputConfiguration } from 'commander'
import { ABOUT, type CommandName } from './about.js'
import { endWithReader, onOneLine, print, warn } from './output.js'

/** Each is loaded when it is needed: what one command never uses would be most of the time that it takes. */
const COMMANDS: Readonly<Record<CommandName, () => Promise<(signal: AbortSignal) => Command>>> = {
  stores: async () => (await import('./stores.js')).storesCommand,
  ls: async () => (await import('./ls.js')).lsCommand,
  show: async () => (await import('./show.js')).showCommand,
  tail: async () => (await import('./tail.js')).tailCommand,
  watch: async () => (await import('./watch-sessions.js')).watchCommand,
  grep: async () => (await import('./grep.js')).grepCommand,
  reindex: async () => (await import('./reindex.js')).reindexCommand,
  search: async () => (await import('./search.js')).searchCommand,
  index: async () => (await import('./index-command.js')).indexCommand,
  status: async () => (await import('./status.js')).statusCommand,
  forget: async () => (await import('./forget.js')).forgetCommand,
  retry: async () => (await import('./retry.js')).retryCommand,
  reset: async () => (await import('./reset.js')).resetCommand,
  wal: async () => (await import('./wal.js')).walCommand,
  verify: async () => (await import('./verify.js')).verifyCommand,
  plan: async () => (await import('./plan.js')).planCommand,
  spans: async () => (await import('./spans.js')).spansCommand,
}

/** Commander repeats what argv holds, whatever that is: it is told as all else is. */
const ERRORS: OutputConfiguration = { outputError: (text, write) => write(`${onOneLine(text).trim()}\n`) }

const USAGE = 2
/** As `verify` ends: a store, or the only one. */
const DAMAGED = 3
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
    if (argv.length === 3 && argv[2] === '--version') await print(version())
    else await (await program(argv, interruption.signal)).parseAsync(wordsOf(argv))
    return unread ?? Number(process.exitCode ?? 0)
  } catch (error) {
    return unread ?? (await exitStatus(error, interruption.signal))
  } finally {
    process.off('SIGINT', interrupt)
    process.off('SIGTERM', interrupt)
  }
}

/** With the command that is named; without one, with what there is to say of all of them. */
async function program(argv: readonly string[], signal: AbortSignal): Promise<Command> {
  const { Command } = await import('commander')
  const root = new Command('spanleaf')
    .description('Read and search the sessions of coding agents.')
    .version(version(), '--version')
    .showHelpAfterError('(see --help)')
    .configureOutput(ERRORS)
    .exitOverride()
  const [first, second] = argv.slice(2)
  const name = first === 'help' ? second : first
  if (!isCommand(name)) {
    for (const [other, about] of Object.entries(ABOUT)) root.command(other).description(about)
    return root
  }
  const make = await COMMANDS[name]()
  return root.addCommand(make(signal).exitOverride().showHelpAfterError('(see --help)').configureOutput(ERRORS))
}

/** Of `help nope` commander would print the help, and no word of what is wrong: it is told as `nope` is. */
function wordsOf(argv: readonly string[]): readonly string[] {
  const [, , first, second] = argv
  return first === 'help' && second !== undefined && !isCommand(second) ? [...argv.slice(0, 2), ...argv.slice(3)] : argv
}

function isCommand(word: string | undefined): word is CommandName {
  return word !== undefined && Object.hasOwn(COMMANDS, word)
}

/** Prints the one sentence that there is to say. Commander has printed its own. */
async function exitStatus(error: unknown, signal: AbortSignal): Promise<number> {
  const { CommanderError } = await import('commander')
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : USAGE
  if (signal.aborted) return INTERRUPTED
  const { StorageError } = await import('../index.js')
  if (error instanceof StorageError) {
    if (error.code !== 'INVALID_OPTION') warn(error.message)
    else warn(`${error.reason}${error.path === undefined ? '' : ` (${error.path})`}`)
    return error.code === 'INVALID_OPTION' ? USAGE : error.code === 'STORE_DAMAGED' ? DAMAGED : 1
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
