/** spanleaf stores: every store that was found, and what hides what. */
import { sep } from 'node:path'
import type { Command } from 'commander'
import {
  describeStores,
  type OtherCopies,
  openSessions,
  type SessionOrigin,
  type StageIssue,
  StorageError,
  type StoreDescription,
  type StoresDescription,
} from '../index.js'
import { clip, clipPath } from './columns.js'
import { type CommonOptions, command, homeOf, refuseNoStore } from './command.js'
import { catalogFile, type Freshness, freshnessOf } from './freshness.js'
import { ago, count, formatBytes, issueJson, placeOf, print, printJson, terminalWidth } from './output.js'

export function storesCommand(signal: AbortSignal): Command {
  return command('stores', { narrows: false, agents: true }).action((options: CommonOptions) => stores(options, signal))
}

async function stores(options: CommonOptions, signal: AbortSignal): Promise<void> {
  const found = await describe(options, signal)
  const catalog = catalogFile(homeOf(options))
  if (options.json) await printJson({ ...toJson(found), catalog: catalog ?? null })
  else {
    await print(storesText(found, terminalWidth()))
    if (catalog !== undefined)
      await print(`what was listed is kept in ${catalog.path}: ${formatBytes(catalog.bytes)}, written ${ago(catalog.written)}`)
  }
  if (found.stores.length === 0) process.exitCode = 1
}

/** Freshness may be missing: then nothing is said of it. */
export type ShownStore = StoreDescription & Partial<Freshness>

export interface ShownStores extends StoresDescription {
  readonly stores: readonly ShownStore[]
}

/** A store that cannot be opened is an answer here, even when it is the only one. */
async function describe(options: CommonOptions, signal: AbortSignal): Promise<ShownStores> {
  try {
    const { data, agent } = options
    await using sessions = await openSessions({ ...(data && { data }), ...(agent && { agent }), signal })
    const found = await describeStores(sessions, { signal })
    if (found.stores.length === 0 && found.issues.length === 0) refuseNoStore(options)
    return { ...found, stores: found.stores.map((store) => ({ ...store, ...freshnessOf(store, sessions) })) }
  } catch (error) {
    if (!(error instanceof StorageError) || error.path === undefined || error.code === 'STORE_MISSING') throw error
    const { code, path, reason, retryable: transient } = error
    return { stores: [], issues: [{ code, path, reason, transient }], total: { sessions: 0, bytes: 0 } }
  }
}

function toJson({ stores, issues, total }: ShownStores): object {
  return {
    stores: stores.map(({ sessions, messages, parts, bytes, written, stale = false, ...store }) => ({
      ...store,
      sessions: sessions ?? null,
      messages: messages ?? null,
      parts: parts ?? null,
      bytes: bytes ?? null,
      written: written ?? null,
      stale,
    })),
    issues: issues.map(issueJson),
    total,
  }
}

const HEAD = ['KIND', 'WRITTEN BY', 'SESSIONS', 'MESSAGES', 'PARTS', 'SIZE'] as const

/** A line of numbers for each store, below it its path and what it hides; at most `width` columns wide. */
export function storesText({ stores, issues, total }: ShownStores, width: number): string {
  const line = lineOf([HEAD, ...stores.map(cellsOf)], width)
  const names = namesOf(stores)
  const blocks = stores.map((store) => `${line(cellsOf(store))}\n  ${clipPath(store.path, width - 2)}\n  ${clip(viewOf(store, names), width - 2)}`)
  const bad = issues.map((issue) => issueText(issue, width))
  const sum = `${count(total.sessions, 'session')} in all, each shown once; ${formatBytes(total.bytes)} on disk`
  return (stores.length === 0 ? bad : [line(HEAD), ...blocks, ...bad, sum]).join('\n')
}

/** Where all would be too wide, the kind alone says what wrote a store. */
function lineOf(rows: readonly (readonly string[])[], width: number): (row: readonly string[]) => string {
  const widths = HEAD.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  const all = (row: readonly string[]): string[] => row.map((cell, at) => (at < 2 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0)))
  const isNarrow = all(HEAD).join('  ').length > width
  return (row) =>
    all(row)
      .filter((_, at) => !isNarrow || HEAD[at] !== 'WRITTEN BY')
      .join('  ')
}

function cellsOf(store: StoreDescription): readonly string[] {
  const number = (value: number | undefined): string => value?.toLocaleString('en') ?? '?'
  const { kind, era, sessions, messages, parts, partsInMessages, bytes } = store
  const size = bytes === undefined ? '?' : formatBytes(bytes)
  return [kind, era, number(sessions), number(messages), partsInMessages ? 'inside messages' : number(parts), size]
}

/** By kind; where there are several of one, with as much of the end of the path as tells them apart. */
function namesOf(stores: readonly StoreDescription[]): (store: SessionOrigin) => string {
  return ({ kind, path }) => {
    const others = stores.filter((store) => store.kind === kind && store.path !== path).map((store) => foldersOf(store.path))
    if (others.length === 0) return kind
    const folders = foldersOf(path)
    const end = (names: readonly string[], length: number): string => names.slice(-length).join('/')
    let length = 1
    while (length < folders.length && others.some((other) => end(other, length) === end(folders, length))) length++
    return `${kind} (${end(folders, length)})`
  }
}

function foldersOf(path: string): readonly string[] {
  return path.split(sep)
}

/** `2 shown; written 3 min ago; hides 31 of opencode-json, 1 of opencode-era-a; hidden: 1 by opencode-v2` */
function viewOf({ shown, hides, hiddenBy, written, stale }: ShownStore, nameOf: ReturnType<typeof namesOf>): string {
  const list = (copies: readonly OtherCopies[], word: string): string =>
    copies.map((copy) => `${copy.sessions.toLocaleString('en')} ${word} ${nameOf(copy)}`).join(', ')
  const over = hides.length > 0 ? [`hides ${list(hides, 'of')}`] : []
  const under = hiddenBy.length > 0 ? [`hidden: ${list(hiddenBy, 'by')}`] : []
  const fresh = [
    ...(written === undefined ? [] : [`written ${ago(written)}`]),
    ...(stale === true ? ['could not be listed now, so this may be old'] : []),
  ]
  return [`${shown.toLocaleString('en')} shown`, ...fresh, ...over, ...under].join('; ')
}

function issueText(issue: StageIssue, width: number): string {
  const { code, reason } = issue
  return `! ${code}  ${clipPath(placeOf(issue), width - code.length - 4)}\n  ${clip(reason, width - 2)}`
}
