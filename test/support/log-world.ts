/** Logs of one dialect in a folder of their own, opened as a store, with a clock that a test moves and maps of its choice. */
import { appendFileSync, mkdirSync, readFileSync, readSync, renameSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { parseSessionId } from '../../src/core/ids.js'
import { type SessionKey, sessionKey } from '../../src/core/keys.js'
import { type LogKind, openLogStore } from '../../src/storage/jsonl/open-logs.js'
import { createFileMaps, LiveMaps, type MapOption } from '../../src/storage/maps/file-maps.js'
import type { LoadedMapper } from '../../src/storage/maps/mmap.js'
import type { Store } from '../../src/storage/store.js'
import { createSessionSet } from '../../src/tree/sessions/session-set.js'
import type { Sessions } from '../../src/tree/sessions/sessions.js'
import type { MessageNode, SessionHydratedTree } from '../../src/tree/types.js'
import { type ManualClock, manualClock } from './clocks.js'
import { bytesOf, type LogDialect } from './log-dialects.js'
import { CORPUS, type PlainMessage, type SaidSession } from './log-sayings.js'
import { tempFolder } from './temp.js'

const HOUR = 3_600_000

export interface Mapping {
  readonly map: MapOption
  /** @default one that reads in place of mapping */
  readonly load?: (() => LoadedMapper) | undefined
  /** Opens the stores in a worker thread. */
  readonly worker?: LogWorker | undefined
}

/** A clock that a test moves, and what opens stores that go by it in another thread. */
export type LogWorker = (now: number) => { readonly clock: ManualClock; open(kind: LogKind, root: string): Promise<Store> }

export interface LogWorld extends AsyncDisposable {
  /** What the store opens. */
  readonly root: string
  readonly store: Store
  readonly set: Sessions
  /** An hour after the files were written. */
  readonly clock: ManualClock
  keyOf(session: SaidSession): SessionKey
  /** The files of a session, absolute, the last one being that which grows. */
  pathsOf(session: SaidSession): readonly string[]
  /** Writes the session anew, in place; its files are then an hour old by the clock. */
  write(session: SaidSession): void
  /** Another store of the same logs, that knows nothing of them yet. */
  openAnew(): Promise<Store>
  /** Adds what `grown` has more than is there; a document is written anew and takes the place of the old one. */
  grow(grown: SaidSession): void
}

export type MakeLogWorld = (corpus?: readonly SaidSession[]) => Promise<LogWorld>

const HOMES: Readonly<Record<LogKind, readonly string[]>> = {
  'pi-jsonl': ['.pi', 'agent', 'sessions'],
  'claude-jsonl': ['.claude', 'projects'],
  'codex-jsonl': ['.codex'],
  'jcode-journal': ['.jcode'],
}

/** Maps that nobody uses any more are only let go by the collector: of the whole process. */
const LIVE = new LiveMaps()

export async function logWorld(dialect: LogDialect, { map, load, worker }: Mapping, corpus: readonly SaidSession[] = CORPUS): Promise<LogWorld> {
  const folder = tempFolder()
  const root = join(folder.path, ...HOMES[dialect.kind])
  mkdirSync(dialect.kind === 'jcode-journal' || dialect.kind === 'codex-jsonl' ? join(root, 'sessions') : root, { recursive: true })
  const elsewhere = worker?.(Date.now() + HOUR)
  const clock = elsewhere?.clock ?? manualClock(Date.now() + HOUR)
  const pathsOf = (session: SaidSession): string[] => dialect.render(session).map(({ path }) => join(root, path))
  const write = (session: SaidSession): void => {
    for (const log of dialect.render(session)) writeAged(join(root, log.path), bytesOf(log, session))
  }
  for (const session of corpus) write(session)
  const live = load === undefined ? LIVE : undefined
  const maps = createFileMaps({ map, clock, load: load ?? (() => ({ mapper: { map: readInstead } })), filesystem: () => 0xef53, live })
  const openAnew = async (): Promise<Store> => elsewhere?.open(dialect.kind, root) ?? openLogStore(dialect.kind, root, { clock, maps })
  const store = await openAnew()
  const set = await createSessionSet([store], { clock })
  return {
    root,
    store,
    set,
    clock,
    pathsOf,
    write,
    openAnew,
    keyOf: (session) => sessionKey(dialect.agent, parseSessionId(dialect.idOf(session))),
    grow: (grown) => {
      for (const log of dialect.render(grown)) grow(join(root, log.path), bytesOf(log, grown))
    },
    [Symbol.asyncDispose]: async () => {
      await set.close()
      folder[Symbol.dispose]()
      if (maps.stats().live > 100) await collect()
    },
  }
}

/** As if it had been written an hour ago: what is written now has another time for certain. */
export function writeAged(path: string, bytes: string | Buffer): void {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, bytes)
  utimesSync(path, new Date(), new Date(Date.now() - HOUR))
}

function grow(path: string, bytes: Buffer): void {
  const isThere = statSync(path, { throwIfNoEntry: false }) !== undefined
  const before = isThere ? readFileSync(path) : Buffer.alloc(0)
  if (bytes.equals(before)) return
  if (bytes.subarray(0, before.length).equals(before)) {
    appendFileSync(path, bytes.subarray(before.length))
    return
  }
  writeFileSync(`${path}.tmp`, bytes)
  renameSync(`${path}.tmp`, path)
}

function readInstead(fd: number, length: number): Buffer {
  const bytes = Buffer.alloc(length)
  readSync(fd, bytes, 0, length, 0)
  return bytes
}

async function collect(): Promise<void> {
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as () => void
  for (let round = 0; round < 2; round++) {
    gc()
    await turn()
  }
}

/** A tree in the words of `plainSayings`. */
export function plainTree({ messages }: Pick<SessionHydratedTree, 'messages'>): readonly PlainMessage[] {
  const places = new Map(messages.map(({ key }, place) => [key.message as string, place]))
  return messages.map(({ message, parts, log }) => ({
    role: message?.role ?? 'damaged',
    created: message === undefined || message.role === 'unknown' ? 0 : message.time.created,
    parent: log?.parent === undefined ? -1 : (places.get(log.parent) ?? -2),
    parts: parts.map(plainPart),
  }))
}

function plainPart(part: MessageNode['parts'][number]): string {
  if (part.type === 'text' || part.type === 'reasoning') return `${part.type} ${part.text}`
  if (part.type === 'file') return `file ${part.mime} ${part.url}`
  if (part.type !== 'tool') return part.type
  const { callID, tool, state } = part
  const said = state.status === 'completed' ? state.output : state.status === 'error' ? state.error : ''
  return `tool ${callID} ${tool} ${JSON.stringify(state.input)} ${state.status} ${said}`
}
