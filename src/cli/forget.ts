/** spanleaf forget: takes a session or a project out of the index, and keeps it out. */
import type { Command } from 'commander'
import { createSessionSet, encodeKey, isSafeId, openSessions, type SessionKey, type SessionMeta, type Sessions, StorageError } from '../index.js'
import { addExclusions, ancestorFinder, createIndexer, type Exclusion, type IndexHome, noSessions, parentsOf } from '../indexer/index.js'
import { clip } from './columns.js'
import { type CommonOptions, command, homeOf, refuseHomeInStore } from './command.js'
import { failpointOf } from './failpoint.js'
import { openToForget } from './home.js'
import { count, print, printJson, warn } from './output.js'
import { exclusionOf, inScope, type Scope, scopeOf } from './scope.js'

interface ForgetOptions extends CommonOptions {
  readonly project?: string
}

export function forgetCommand(signal: AbortSignal): Command {
  const made = command('forget', {
    narrows: false,
  })
    .argument('[id]', 'the id of the session')
    .option('--project <dir>', 'every session of this folder (or project id)')
  return made.action((id: string | undefined, options: ForgetOptions) => forget(id, options, signal))
}

async function forget(id: string | undefined, options: ForgetOptions, signal: AbortSignal): Promise<void> {
  const what = id ?? options.project
  if (what === undefined || (id !== undefined && options.project !== undefined)) {
    throw new StorageError('INVALID_OPTION', { reason: 'forget takes either the id of a session or --project' })
  }
  if (id !== undefined && !isSafeId(id)) throw new StorageError('INVALID_ID', { reason: `${JSON.stringify(id)} is no session id` })
  const folder = homeOf(options)
  const sessions = await openWhatCanBe(options, signal)
  try {
    refuseHomeInStore(folder, sessions)
    const home = await openToForget(options, signal)
    try {
      const scope: Scope = id === undefined ? scopeOf(what, sessions) : { kind: 'id', id }
      const family = id === undefined ? [] : familyOf(sessions, id)
      const keys = id === undefined ? await keysOfProject(scope, sessions, home) : keysOfSessions(family, sessions, home)
      if (keys.length === 0) throw new StorageError('NOT_FOUND', { reason: `neither the index nor a store knows ${JSON.stringify(what)}` })
      // The exclusion comes first: should this be cut short, the next run of the indexer finishes it.
      excludeFamilies(folder, exclusionOf([scope]), [family])
      const documents = home === undefined ? 0 : await remove(home, keys, signal)
      if (options.json) await printJson({ documents })
      else await print(`${count(documents, 'document')} of ${count(keys.length, 'session')} removed; ${staysOut(what, id !== undefined)}`)
    } finally {
      await home?.close()
    }
  } finally {
    await sessions.close()
  }
}

/**
 * What a session starts is out with it, by what the stores say. What it started so far is named, too: the record of one between may be deleted,
 * damaged or away later, and then nothing else leads from one to the other. The first of each family started the others.
 */
export function excludeFamilies(folder: string, exclusion: Exclusion, families: readonly (readonly string[])[]): void {
  const { sessions: given = [] } = exclusion
  const started = families.flatMap(([root = '', ...others]) => others.filter((id) => !given.includes(id)).map((id) => [id, root] as const))
  const startedBy = new Map(started)
  addExclusions(folder, { ...exclusion, sessions: [...given, ...startedBy.keys()] }, startedBy)
}

function staysOut(what: string, isSession: boolean): string {
  const stays = `${clip(what)} stays out of the index from now on`
  return isSession ? `${stays}, with all sessions that it starts.` : `${stays}.`
}

async function remove(home: IndexHome, keys: readonly SessionKey[], signal: AbortSignal): Promise<number> {
  await using indexer = createIndexer({ ...home, sessions: noSessions, failpoint: failpointOf(process.env) })
  const { documents } = await indexer.forget(keys, signal)
  for (const sink of [home.sink, ...home.former]) await sink.scrub?.()
  return documents
}

/** What was indexed must be forgettable also when its stores are gone or cannot be read; a `--data` that names none is a mistake. */
async function openWhatCanBe({ data }: ForgetOptions, signal: AbortSignal): Promise<Sessions> {
  try {
    return await openSessions({ ...(data && { data }), signal })
  } catch (error) {
    if (!(error instanceof StorageError) || data !== undefined) throw error
    warn(`${error.reason}: only what the index knows is looked at`)
    return createSessionSet([])
  }
}

/**
 * The ids of the session and of everything it started, by what the stores say, also where they do not have the session itself: the same
 * conversation. An exclusion names no agent, so it is of every agent that has the id.
 */
export function familyOf(sessions: Sessions, id: string): readonly string[] {
  const metas = sessions.index.sessionsByTime()
  const ancestorOf = ancestorFinder({ sessions: [id] }, parentsOf(metas))
  const others = metas.filter((meta) => meta.id !== id && ancestorOf(meta) !== undefined)
  return [id, ...new Set(others.map((meta) => meta.id))]
}

/** Those that the index or a store knows. */
function keysOfSessions(ids: readonly string[], sessions: Sessions, home: IndexHome | undefined): readonly SessionKey[] {
  const known: readonly SessionKey[] = [...sessions.index.sessionsByTime(), ...(home?.state.sessions() ?? [])].map(({ key }) => key)
  const asked = new Set(ids)
  return unique(known.filter(({ session }) => asked.has(session)))
}

/** Of the stores, of the sink (also when their store is gone), and of what is embedded but not yet in the sink. */
async function keysOfProject(scope: Scope | undefined, sessions: Sessions, home: IndexHome | undefined): Promise<readonly SessionKey[]> {
  if (scope === undefined) return []
  const within = inScope(scope)
  const keys = sessions.index
    .sessionsByTime()
    .filter((meta: SessionMeta) => within(meta))
    .map(({ key }) => key)
  if (home === undefined) return keys
  keys.push(
    ...home.state
      .pending()
      .filter(within)
      .map(({ key }) => key),
  )
  const projects = scope.kind === 'id' ? [scope.id] : scope.paths
  for (const { key } of home.state.sessions()) {
    for (const project of projects) {
      for (const sink of [home.sink, ...home.former]) {
        for await (const _ of sink.ids({ agent: key.agent, session: key.session, project })) {
          keys.push(key)
          break
        }
      }
    }
  }
  return unique(keys)
}

function unique(keys: readonly SessionKey[]): readonly SessionKey[] {
  return [...new Map(keys.map((key) => [encodeKey(key), key])).values()]
}
