/** spanleaf index: brings the search index to what the stores hold now, once or from now on. */
import { join } from 'node:path'
import { type Command, Option } from 'commander'
import { type Sessions, StorageError } from '../index.js'
import { addExclusions, readExclusions, removeExclusions } from '../indexer/index.js'
import { collect, command, homeOf, refuseHomeInStore, withSessions } from './command.js'
import { openHome } from './home.js'
import { warn } from './output.js'
import { printRun, runIndex } from './run-index.js'
import { exclusionOf, inScope, type Scope, scopeOf } from './scope.js'
import { type ServiceOptions, withServices } from './services.js'
import { watchIndex } from './watch.js'

interface IndexOptions extends ServiceOptions {
  readonly watch?: boolean
  readonly exclude?: readonly string[]
  readonly include?: readonly string[]
  readonly store?: never
}

export function indexCommand(signal: AbortSignal): Command {
  const made = command('index', { narrows: false, agents: true })
    .addOption(new Option('--store <kind>').argParser(refuseStore).hideHelp())
    .option('--watch', 'go on until Ctrl-C, and index what changes; a line on stderr for each change')
    .option('--exclude <what>', 'never index this folder, project id or session id, now and later; what was indexed of it goes (repeatable)', collect)
    .option('--include <what>', 'take back an exclusion (repeatable)', collect)
  return withServices(made).action((options: IndexOptions) => index(options, signal))
}

/** Without the other stores a hidden copy would be taken for the session, and what only they hold for deleted. */
function refuseStore(): never {
  throw new StorageError('INVALID_OPTION', {
    reason: 'the index holds each session once, from the store that it is read from, so index takes no --store; search does',
  })
}

async function index(options: IndexOptions, signal: AbortSignal): Promise<void> {
  await withSessions(options, signal, async (sessions) => {
    const folder = homeOf(options)
    refuseHomeInStore(folder, sessions)
    changeExclusions(folder, options, sessions)
    await using home = await openHome(options, { sessions, signal, rebuild: true })
    if (options.watch) {
      await watchIndex(sessions, home, options, signal)
      return
    }
    await printRun(home, await runIndex(sessions, home, signal), options)
    signal.throwIfAborted()
  })
}

function changeExclusions(folder: string, { exclude = [], include = [] }: IndexOptions, sessions: Sessions): void {
  const scopes = (values: readonly string[]): readonly Scope[] => values.map((value) => scopeOf(value, sessions))
  if (include.length > 0) takeBack(folder, include, scopes(include))
  if (exclude.length === 0) return
  for (const [at, scope] of scopes(exclude).entries()) {
    const matches = sessions.index.sessionsByTime().some((meta) => inScope(scope)(meta) || (scope.kind === 'id' && meta.id === scope.id))
    if (!matches) warn(`no session matches ${exclude[at]} now; it is excluded all the same`)
  }
  addExclusions(folder, exclusionOf(scopes(exclude)))
}

/** Names what was given and was not excluded: the folder above it may be. */
function takeBack(folder: string, include: readonly string[], scopes: readonly Scope[]): void {
  const { directories, projects, sessions } = readExclusions(folder)
  const excluded = new Set([...directories, ...projects, ...sessions])
  for (const [at, scope] of scopes.entries()) {
    const names = scope.kind === 'id' ? [scope.id] : scope.paths
    if (!names.some((name) => excluded.has(name))) warn(`${include[at]} was not excluded; what is stands in ${join(folder, 'exclude.jsonl')}`)
  }
  removeExclusions(folder, exclusionOf(scopes))
}
