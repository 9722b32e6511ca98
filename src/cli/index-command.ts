/** spanleaf index: brings the search index to what the stores hold now, once or from now on. */
import { join } from 'node:path'
import { type Command, Option } from 'commander'
import { type Sessions, StorageError } from '../index.js'
import { ancestorFinder, type Exclusions, parentsOf, readExclusions, removeExclusions } from '../indexer/index.js'
import { clip } from './columns.js'
import { collect, command, homeOf, refuseHomeInStore, withSessions } from './command.js'
import { excludeFamilies, familyOf } from './forget.js'
import { openHome } from './home.js'
import { count, warn } from './output.js'
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
  for (const [at, scope] of scopes(include).entries()) takeBack(folder, include[at] ?? '', scope, sessions)
  if (exclude.length === 0) return
  const metas = sessions.index.sessionsByTime()
  const excluded = scopes(exclude)
  const families = excluded.map((scope) => (scope.kind === 'id' ? familyOf(sessions, scope.id) : []))
  for (const [at, scope] of excluded.entries()) {
    const family = families[at] ?? []
    const matches = family.length > 1 || metas.some((meta) => inScope(scope)(meta) || family.includes(meta.id))
    if (!matches) warn(`no session matches ${exclude[at]} now; it is excluded all the same`)
    if (family.length > 1) warn(`with ${exclude[at]}, ${startedText(family)} out, and any that it starts later`)
  }
  excludeFamilies(folder, exclusionOf(excluded), families)
}

/** Names what was given and was not excluded (the folder above it may be), and what stays out all the same. */
function takeBack(folder: string, given: string, scope: Scope, sessions: Sessions): void {
  const before = readExclusions(folder)
  const family = scope.kind === 'id' ? familyOf(sessions, scope.id) : []
  const above = scope.kind === 'id' ? stillOut(before, scope.id, new Set(family), sessions) : undefined
  if (above !== undefined) {
    // It keeps the exclusion of its own: that holds also when nothing leads to the other one any more.
    warn(`${given} stays out, as it was started by ${clip(above)}, which is excluded`)
    return
  }
  const excluded = new Set([...before.directories, ...before.projects, ...before.sessions])
  // A session comes back with what it started, also where that was excluded by its own id, or where the list alone tells whose it is.
  const named = family.filter((id, at) => at === 0 || excluded.has(id))
  const after = removeExclusions(folder, { ...exclusionOf([scope]), ...(scope.kind === 'id' && { sessions: named }) })
  const still = new Set(after.sessions)
  const back = new Set([...family, ...before.sessions.filter((id) => scope.kind === 'id' && !still.has(id))])
  const names = scope.kind === 'id' ? named : scope.paths
  if (!names.some((name) => excluded.has(name))) warn(`${given} was not excluded; what is stands in ${join(folder, 'exclude.jsonl')}`)
  else if (back.size > 1) warn(`with ${given}, ${startedText([...back])} back`)
}

function startedText(family: readonly string[]): string {
  const others = family.length - 1
  return `${count(others, 'session')} that it started ${others === 1 ? 'is' : 'are'}`
}

/** What keeps the session out when its own exclusion and those of what it started are taken back. */
function stillOut(before: Exclusions, id: string, family: ReadonlySet<string>, sessions: Sessions): string | undefined {
  const metas = sessions.index.sessionsByTime()
  const others = { sessions: before.sessions.filter((excluded) => !family.has(excluded)) }
  const ancestorOf = ancestorFinder(others, parentsOf(metas))
  const ancestors = metas.flatMap((meta) => (meta.id === id ? (ancestorOf(meta) ?? []) : []))
  return ancestors[0]
}
