/** spanleaf verify: accounts for every record of every store; with --index, for every document of the index. */
import type { Command } from 'commander'
import { type DamagedRecord, type LedgerTotal, type OrphanCounts, StorageError, type StoreLedger, verifyStores } from '../index.js'
import { clip } from './columns.js'
import { command, DAMAGED, isUnread, withSessions } from './command.js'
import { count, issueJson, placeOf, print, printJson } from './output.js'
import { withServices } from './services.js'
import type { VerifyIndexOptions } from './verify-index.js'

/** So many damaged lines of one log are named for people. */
const MOST_OF_A_LOG = 20

interface VerifyCommandOptions extends VerifyIndexOptions {
  readonly deep?: boolean
  readonly orphans?: boolean
  readonly index?: boolean
}

const DEEP =
  'check the JSON beside the records too: JSON columns, saved approvals, queued input, messages of newer kinds (never secrets, settings or the event log)'

export function verifyCommand(signal: AbortSignal): Command {
  const made = command('verify')
    .option('--deep', DEEP)
    .option('--orphans', 'name every record whose session or message is gone')
    .option('--index', 'compare the index with the sessions and the sink instead (exit 3 when anything differs)')
    .option('--repair', 'with --index: mend what differs, and compare again')
  return withServices(made).action((options: VerifyCommandOptions) => verify(options, signal))
}

async function verify(options: VerifyCommandOptions, signal: AbortSignal): Promise<void> {
  refuseMixed(options)
  const isSound = options.index ? await (await import('./verify-index.js')).verifyIndex(options, signal) : await verifyRecords(options, signal)
  if (!isSound) process.exitCode = DAMAGED
}

/** @throws StorageError INVALID_OPTION */
function refuseMixed({ index = false, deep, orphans, store, repair, embedder, sink, redact }: VerifyCommandOptions): void {
  const ofStores = [deep && '--deep', orphans && '--orphans', store && '--store'].filter((name) => typeof name === 'string')
  const ofIndex = [repair && '--repair', embedder && '--embedder', sink && '--sink', redact !== undefined && '--redact'].filter(
    (name) => typeof name === 'string',
  )
  const [wrong] = index ? ofStores : ofIndex
  if (wrong !== undefined) throw new StorageError('INVALID_OPTION', { reason: `${wrong} goes ${index ? 'without' : 'with'} --index` })
}

async function verifyRecords(options: VerifyCommandOptions, signal: AbortSignal): Promise<boolean> {
  const { deep = false, orphans = false } = options
  return withSessions(options, signal, async (sessions) => {
    const verification = await verifyStores(sessions, { deep, orphans, signal })
    const { stores, total } = verification
    const issues = sessions.issues.filter((issue) => issue.key === undefined)
    if (options.json) await printJson({ ...verification, issues: issues.map(issueJson) })
    else {
      for (const store of stores) await printStore(store, stores)
      await print(`total: ${summary(total)}, ${total.damaged} damaged`)
    }
    return total.damaged === 0 && !issues.some(isUnread)
  })
}

async function printStore(store: StoreLedger, all: readonly StoreLedger[]): Promise<void> {
  await print(`${store.kind}  ${clip(store.path)}`)
  await print(`  ${summary(store)}`)
  const lost = orphanCounts(store.orphans)
  if (lost.length > 0) await print(`  without their session or message: ${lost.join(', ')}${store.orphanRecords ? '' : ' (--orphans names them)'}`)
  for (const { path, table, key } of store.orphanRecords ?? []) await print(`    ${place(path, table, key)}`)
  if (store.superseded > 0) await print(`  ${count(store.superseded, 'record')} of sessions that are read from another store${onlyHere(store, all)}`)
  for (const { reason, count: number } of store.ignored) await print(`  ${number.toLocaleString('en')} left alone: ${clip(reason)}`)
  await printDamaged(store.damaged)
}

/** A file that is no log at all is damaged in every line. */
async function printDamaged(records: readonly DamagedRecord[]): Promise<void> {
  const lines = new Map<string, number>()
  for (const record of records) {
    const nth = record.line === undefined ? 0 : (lines.get(record.path) ?? 0) + 1
    if (nth > 0) lines.set(record.path, nth)
    if (nth <= MOST_OF_A_LOG) await print(`  ! ${damage(record)}`)
  }
  for (const [path, number] of lines) {
    if (number > MOST_OF_A_LOG) await print(`  ! and ${count(number - MOST_OF_A_LOG, 'more line', 'more lines')} of ${clip(path)} (--json names all)`)
  }
}

function summary(ledger: StoreLedger | LedgerTotal): string {
  return `${count(ledger.sessions, 'session')}, ${count(ledger.messages, 'message')}, ${count(ledger.parts, 'part')}, ${count(ledger.projects, 'project')}, ${count(ledger.todos, 'todo')}, ${count(ledger.diffs, 'diff')}`
}

function orphanCounts({ messages, parts, todos, diffs }: OrphanCounts): string[] {
  const counted: readonly [number, string][] = [
    [messages, 'message'],
    [parts, 'part'],
    [todos, 'todo'],
    [diffs, 'diff'],
  ]
  return counted.filter(([number]) => number > 0).map(([number, noun]) => count(number, noun))
}

function onlyHere(store: StoreLedger, all: readonly StoreLedger[]): string {
  const { messages, parts } = store.onlyHere
  if (messages + parts === 0) return ''
  return `; ${count(messages, 'message')} and ${count(parts, 'part')} of them only here: read them with ${optionsFor(store, all)}`
}

/** What narrows to this store alone: its kind or its path, if no other store has the same, else both. */
function optionsFor({ kind, path }: StoreLedger, all: readonly StoreLedger[]): string {
  if (all.filter((store) => store.kind === kind).length === 1) return `--store ${kind}`
  const isAlone = all.filter((store) => store.path === path).length === 1
  return isAlone ? `--store ${quoted(path)}` : `--data ${quoted(path)} --store ${kind}`
}

/** As a POSIX shell takes it. */
function quoted(path: string): string {
  return /^[\w./:@%+=,-]+$/.test(path) ? path : `'${clip(path.replaceAll("'", "'\\''"))}'`
}

/** What, why and where: `CORRUPT_RECORD part truncated at byte 512: /path ses_1/msg_1/prt_1`; of a log `/path:12 (byte 3456)`. */
function damage({ code, kind, path, table, key, damage, reason, offset, column, transient, line }: DamagedRecord): string {
  const at = `${column === undefined ? '' : ` in ${column}`}${offset === undefined || line !== undefined ? '' : ` at byte ${offset}`}`
  const why = reason === damage ? '' : `, ${clip(reason)}`
  const soon = transient === true ? '; it may be whole in a moment' : ''
  return `${code} ${kind} ${damage}${at}${why}${soon}: ${place(placeOf({ path, line, offset }), table, key)}`
}

function place(path: string, table: string | undefined, key: string): string {
  return clip([path, ...(table === undefined ? [] : [table]), ...(key === '' ? [] : [key])].join(' '))
}
