/** spanleaf forget: takes a session or a project out of the index, and keeps it out. */
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { isSafeId, openSessions, type SessionKey, type SessionMeta, StorageError } from '../index.js'
import { addExclusions, createIndexer, hasIndex, type IndexHome, noSessions, openIndexHome } from '../indexer/index.js'
import { type CommonOptions, command, inProject } from './command.js'
import { exclusionOf, isFolder } from './index-command.js'
import { count, plain, print, printJson } from './output.js'

interface ForgetOptions extends CommonOptions {
  readonly project?: string
}

export function forgetCommand(signal: AbortSignal): Command {
  return command('forget', 'take a session or a project out of the index and keep it out (undo: spanleaf index --include)')
    .argument('[id]', 'the id of the session')
    .option('--project <dir>', 'every session of this folder (or project id)')
    .action((id: string | undefined, options: ForgetOptions) => forget(id, options, signal))
}

async function forget(id: string | undefined, options: ForgetOptions, signal: AbortSignal): Promise<void> {
  const what = id ?? options.project
  if (what === undefined || (id !== undefined && options.project !== undefined)) {
    throw new StorageError('INVALID_OPTION', { reason: 'forget takes either the id of a session or --project' })
  }
  if (id !== undefined && !isSafeId(id)) throw new StorageError('INVALID_ID', { reason: `${JSON.stringify(id)} is no session id` })
  const removed = hasIndex(options.home) ? await fromIndex(what, options, signal) : undefined
  if (removed === undefined && !(await isInStores(what, options, signal))) {
    throw new StorageError('NOT_FOUND', { reason: `neither the index nor a store knows ${JSON.stringify(what)}` })
  }
  addExclusions(options.home, exclusionOf([what]))
  const documents = removed ?? 0
  if (options.json) await printJson({ documents })
  else await print(`${count(documents, 'document')} removed; ${plain(what)} stays out of the index from now on.`)
}

/** Removes what the index holds; undefined when it knows nothing of it. */
async function fromIndex(what: string, options: ForgetOptions, signal: AbortSignal): Promise<number | undefined> {
  const home = await openIndexHome({ home: options.home })
  try {
    const keys = options.project === undefined ? knownSession(home, what) : await sessionsOfProject(home, options.project)
    if (keys.length === 0) return undefined
    // The exclusion comes first: should this be cut short, the next run finishes it.
    addExclusions(options.home, exclusionOf([what]))
    const { state, cache, embedder, sink } = home
    const indexer = createIndexer({ sessions: noSessions, state, cache, embedder, sink })
    try {
      return (await indexer.forget(keys, signal)).documents
    } finally {
      await indexer[Symbol.asyncDispose]()
    }
  } finally {
    await home.close()
  }
}

function knownSession({ state }: IndexHome, id: string): readonly SessionKey[] {
  return state.sessions().flatMap(({ key }) => (key.session === id ? [key] : []))
}

/** The sink knows the project of every document, also of sessions whose store is gone. */
async function sessionsOfProject({ state, sink }: IndexHome, project: string): Promise<readonly SessionKey[]> {
  const folder = isFolder(project) ? resolve(project) : project
  const keys: SessionKey[] = []
  for (const { key } of state.sessions()) {
    for await (const _ of sink.ids({ agent: key.agent, session: key.session, project: folder })) {
      keys.push(key)
      break
    }
  }
  return keys
}

async function isInStores(what: string, options: ForgetOptions, signal: AbortSignal): Promise<boolean> {
  const sessions = await openSessions({ ...(options.data && { data: options.data }), signal })
  try {
    const matches = options.project === undefined ? (meta: SessionMeta) => meta.id === what : inProject(what)
    return sessions.index.sessionsByTime().some(matches)
  } finally {
    await sessions.close()
  }
}
