/** Crash tests: children of index-child.mjs on folders of their own, and what they left there. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import Database from 'better-sqlite3'

const CHILD = fileURLToPath(new URL('./index-child.mjs', import.meta.url))
const DIST = fileURLToPath(new URL('../../dist/indexer/indexer.js', import.meta.url))

export type SinkKind = 'file' | 'local'

export interface RunOptions {
  /** `point:n`, to be killed when it is passed for the n-th time. */
  readonly killAt?: string
  /** Milliseconds that each call of the embedder takes. */
  readonly delay?: number
  readonly cache?: boolean
  readonly wal?: boolean
  readonly concurrency?: number
  readonly sink?: SinkKind
  readonly space?: string
  readonly former?: readonly string[]
  readonly rebuild?: boolean
  /** Milliseconds after the child is ready. */
  readonly killAfter?: number
}

export interface Place {
  readonly folder: string
  readonly world: string
}

interface Session {
  readonly id: string
  readonly title: string
  readonly messages: readonly { readonly id: string; readonly text: string }[]
}

function session(id: string, title: string, texts: readonly string[]): Session {
  return { id, title, messages: texts.map((text, i) => ({ id: `msg_${id}_${String(i).padStart(3, '0')}`, text })) }
}

const many = (prefix: string, n: number): string[] => Array.from({ length: n }, (_, i) => `${prefix} ${i}`)
const BEFORE = [session('ses_a', 'A', many('a', 10)), session('ses_b', 'B', many('b', 6)), session('ses_c', 'C', many('c', 5))]
/** Edits, deletions, additions, a new title, a session that is gone, one that is new. */
const AFTER = [
  session('ses_a', 'A', [...many('a', 4), 'a edited', 'a edited twice', ...many('new', 9)]),
  session('ses_b', 'B, renamed', many('b', 2)),
  session('ses_d', 'D', [...many('d', 7), 'a 1']),
]
export const DOCUMENTS = { before: 10 + 6 + 5, after: 15 + 2 + 8 }

export interface CrashRig extends Disposable {
  /** A folder in which the first world was indexed, with the second before it. */
  place(name: string): Place
  /** What an undisturbed run leaves. */
  readonly undisturbed: readonly string[]
}

/** The first world is indexed with these options. @throws Error without dist/ */
export async function crashRig(options: RunOptions = {}): Promise<CrashRig> {
  if (!existsSync(DIST)) throw new Error('dist/ is missing: run `npm run build` first')
  const root = mkdtempSync(join(tmpdir(), 'spanleaf-crash-'))
  const world = { before: join(root, 'before.json'), after: join(root, 'after.json') }
  writeFileSync(world.before, JSON.stringify(BEFORE))
  writeFileSync(world.after, JSON.stringify(AFTER))
  const base = { folder: join(root, 'base'), world: world.before }
  mkdirSync(base.folder)
  const place = (name: string): Place => {
    const folder = join(root, name)
    cpSync(base.folder, folder, { recursive: true })
    return { folder, world: world.after }
  }
  const end = await run(base, options)
  const indexed = contentOf(base, options).length
  if (end !== '0' || indexed !== DOCUMENTS.before) throw new Error(`the first world was not indexed: ended with ${end}, ${indexed} documents`)
  rmSync(join(base.folder, 'events.log'))
  const calm = place('calm')
  const calmEnd = await run(calm, options)
  if (calmEnd !== '0') throw new Error(`the second world was not indexed: ended with ${calmEnd}`)
  return { place, undisturbed: contentOf(calm, options), [Symbol.dispose]: () => rmSync(root, { recursive: true, force: true }) }
}

/** Gives the exit code or the signal. */
export async function run(there: Place, options: RunOptions = {}): Promise<string> {
  return endOf(begin(there, options), options.killAfter)
}

export function begin({ folder, world }: Place, { killAfter: _, ...options }: RunOptions = {}): ChildProcess {
  return spawn(process.execPath, [CHILD, JSON.stringify({ folder, world, ...options })], { stdio: ['ignore', 'pipe', 'inherit'] })
}

async function endOf(child: ChildProcess, killAfter: number | undefined): Promise<string> {
  if (killAfter !== undefined) child.stdout?.once('data', () => setTimeout(() => child.kill('SIGKILL'), killAfter))
  child.stdout?.resume()
  const [code, signal] = await once(child, 'exit')
  return signal ?? String(code)
}

/** A line for each document: id, text, vector, and what stands beside it, but for the fencing token. */
export function contentOf({ folder }: Place, { sink = 'file', space = 'fake' }: RunOptions = {}): string[] {
  const rows = sink === 'file' ? fileRows(join(folder, `sink-${space}.log`)) : localRows(join(folder, `documents-${space}.db`))
  return rows.map((row) => JSON.stringify(row)).sort()
}

interface DocumentRow {
  readonly id: string
  readonly text: string
  readonly session: string
  readonly title: string
  readonly text_hash: string
  readonly vector: readonly number[]
}

function fileRows(path: string): DocumentRow[] {
  const rows = new Map<string, DocumentRow>()
  for (const line of linesOf(path)) {
    const { deleted, rev: _, ...row } = JSON.parse(line) as DocumentRow & { readonly deleted?: true; readonly rev?: number }
    if (deleted) rows.delete(row.id)
    else rows.set(row.id, row)
  }
  return [...rows.values()]
}

function localRows(path: string): DocumentRow[] {
  if (!existsSync(path)) return []
  const database = new Database(path, { readonly: true })
  try {
    const rows = database
      .prepare<[], Omit<DocumentRow, 'vector'> & { readonly vector: Buffer }>(
        'SELECT id, text, session_id AS session, title, text_hash, vector FROM documents LEFT JOIN vectors USING (doc)',
      )
      .all()
    return rows.map(({ vector, ...row }) => ({ ...row, vector: [...new Float32Array(new Uint8Array(vector).buffer)] }))
  } finally {
    database.close()
  }
}

function linesOf(path: string): string[] {
  return existsSync(path) ? readFileSync(path, 'utf8').split('\n').filter(Boolean) : []
}

export interface Events {
  /** Every text that was embedded, as often as it was. */
  readonly embedded: readonly string[]
  /** Embedded after a record with it had become durable. A text of several sessions is embedded for each where there is no cache. */
  readonly repeated: readonly string[]
  /** Embedded though the cache had its vector. */
  readonly recomputed: readonly string[]
  /** The points at which children were killed. */
  readonly killedAt: readonly string[]
}

export function eventsOf({ folder }: Place): Events {
  const durable = new Map<string, Set<string>>()
  const embedded: string[] = []
  const repeated: string[] = []
  const cached = new Set<string>()
  const recomputed: string[] = []
  const killedAt: string[] = []
  for (const line of linesOf(join(folder, 'events.log'))) {
    const [kind, what = '', session = '', key = ''] = line.split(' ')
    if (kind === 'W') durable.set(what, (durable.get(what) ?? new Set()).add(session))
    if (kind === 'C') cached.add(what)
    if (kind === 'K') killedAt.push(what)
    if (kind !== 'E') continue
    embedded.push(what)
    if (durable.has(what)) repeated.push(what)
    if (cached.has(key)) recomputed.push(what)
  }
  return { embedded, repeated: repeated.filter((text) => durable.get(text)?.size === 1), recomputed, killedAt }
}

/** How many embeddings were not the first of their text. */
export function surplus({ embedded }: Events): number {
  return embedded.length - new Set(embedded).size
}
