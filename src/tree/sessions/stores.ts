/** Which stores there are, how much each holds, and what hides what. */
import { StorageError } from '../../core/errors.js'
import { checkSignal, refuseUnknown } from '../../core/options.js'
import type { StageIssue } from '../../core/stage.js'
import type { Store, StoreKind } from '../../storage/store.js'
import type { SessionMeta, SessionOrigin } from '../types.js'
import { closingOf } from '../watch/told.js'
import type { Sessions } from './sessions.js'

/** What wrote the stores of a kind, for people. */
export const storeEras: Readonly<Record<StoreKind, string>> = {
  'opencode-v2': 'OpenCode 2 database',
  'opencode-sqlite': 'OpenCode 1.2-1.18 database',
  'opencode-json': 'OpenCode 1.0-1.1 files',
  'opencode-era-a': 'OpenCode 0.x files',
  'pi-jsonl': 'pi logs',
  'claude-jsonl': 'Claude Code logs',
  'codex-jsonl': 'Codex logs',
  'jcode-journal': 'jcode sessions',
  memory: 'memory',
}

/** Sessions of which another store holds a copy. */
export interface OtherCopies extends SessionOrigin {
  readonly sessions: number
}

export interface StoreDescription extends SessionOrigin {
  readonly era: string
  /** What is there, also what is damaged or hidden; undefined when it could not be counted, which an issue then explains. */
  readonly sessions: number | undefined
  readonly messages: number | undefined
  /** Undefined also where parts stand inside their messages' documents. */
  readonly parts: number | undefined
  /** On disk; two stores of one database both tell the size of the whole file. */
  readonly bytes: number | undefined
  readonly partsInMessages: boolean
  /** Sessions that are read from this store. */
  readonly shown: number
  /** Copies in other stores, which those hide. */
  readonly hides: readonly OtherCopies[]
  /** Sessions of this store that are read from another one. */
  readonly hiddenBy: readonly OtherCopies[]
}

export interface StoresDescription {
  readonly stores: readonly StoreDescription[]
  /** What was found and cannot be read, or is of another program; damaged records are not among these, `verifyStores` names them. */
  readonly issues: readonly StageIssue[]
  /** `sessions`: each once. `bytes`: each file once. */
  readonly total: { readonly sessions: number; readonly bytes: number }
}

/** As of the last listing; counts rows and files, opens no message. @throws StorageError INVALID_OPTION, SET_CLOSED */
export async function describeStores(sessions: Sessions, options: { readonly signal?: AbortSignal } = {}): Promise<StoresDescription> {
  refuseUnknown(options, ['signal'])
  checkSignal('signal', options.signal)
  const closing = closingOf(sessions)
  closing?.throwIfAborted()
  const issues = sessions.issues.filter((issue) => issue.key === undefined)
  const all = sessions.index.sessionsByTime()
  const stores: StoreDescription[] = []
  for (const store of sessions.stores) {
    const counts = await countsOf(store, issues, options)
    closing?.throwIfAborted()
    stores.push({ ...describe(store, all), ...counts })
  }
  const sizes = new Map(stores.map(({ path, bytes }) => [path, bytes ?? 0]))
  const bytes = [...sizes.values()].reduce((sum, size) => sum + size, 0)
  return { stores, issues, total: { sessions: sessions.index.stats().sessions, bytes } }
}

type Counts = Pick<StoreDescription, 'sessions' | 'messages' | 'parts' | 'bytes'>

function describe(store: Store, all: readonly SessionMeta[]): Omit<StoreDescription, keyof Counts> {
  const { kind, path, supports } = store
  const shown = all.filter(({ source }) => isSame(source, store))
  const hidden = all.filter(({ hides }) => hides.some((copy) => isSame(copy, store)))
  return {
    kind,
    path,
    era: storeEras[kind],
    partsInMessages: !supports.partLeaves,
    shown: shown.length,
    hides: countByStore(shown.flatMap(({ hides }) => hides)),
    hiddenBy: countByStore(hidden.map(({ source }) => source)),
  }
}

/** A store that cannot be counted now is no reason to tell nothing of the others. */
async function countsOf(store: Store, issues: StageIssue[], options: { readonly signal?: AbortSignal }): Promise<Counts> {
  try {
    return await store.totals(options)
  } catch (error) {
    if (!(error instanceof StorageError) || error.code === 'SET_CLOSED') throw error
    const issue = { code: error.code, path: error.path ?? store.path, reason: error.reason, transient: error.retryable }
    if (!issues.some(({ code, path }) => code === issue.code && path === issue.path)) issues.push(issue)
    return { sessions: undefined, messages: undefined, parts: undefined, bytes: undefined }
  }
}

function countByStore(copies: readonly SessionOrigin[]): readonly OtherCopies[] {
  const counts = new Map<string, { kind: StoreKind; path: string; sessions: number }>()
  for (const { kind, path } of copies) {
    const held = counts.get(`${kind} ${path}`) ?? { kind, path, sessions: 0 }
    counts.set(`${kind} ${path}`, { ...held, sessions: held.sessions + 1 })
  }
  return [...counts.values()]
}

function isSame(one: SessionOrigin, other: SessionOrigin): boolean {
  return one.kind === other.kind && one.path === other.path
}
