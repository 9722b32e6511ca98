/** spanleaf verify: accounts for every record of every store. */
import type { Command } from 'commander'
import { type DamagedRecord, type LedgerTotal, type OrphanCounts, type StoreLedger, verifyStores } from '../index.js'
import { type CommonOptions, command, withSessions } from './command.js'
import { clip, count, print, printJson } from './output.js'

/** Exit status when something is damaged. */
const DAMAGED = 3

interface VerifyCommandOptions extends CommonOptions {
  readonly deep?: boolean
  readonly orphans?: boolean
}

const DEEP =
  'check the JSON beside the records too: JSON columns, saved approvals, queued input, messages of newer kinds (never secrets, settings or the event log)'

export function verifyCommand(signal: AbortSignal): Command {
  return command('verify', 'read every record of every store and name what is damaged (exit 3 when anything is)')
    .option('--deep', DEEP)
    .option('--orphans', 'name every record whose session or message is gone')
    .action((options: VerifyCommandOptions) => verify(options, signal))
}

async function verify(options: VerifyCommandOptions, signal: AbortSignal): Promise<void> {
  const { deep = false, orphans = false } = options
  await withSessions(options, signal, async (sessions) => {
    const verification = await verifyStores(sessions, { deep, orphans, signal })
    if (options.json) await printJson(verification)
    else {
      for (const store of verification.stores) await printStore(store)
      await print(`total: ${summary(verification.total)}, ${verification.total.damaged} damaged`)
    }
    const unread = sessions.issues.some((issue) => issue.key === undefined)
    if (verification.total.damaged > 0 || unread) process.exitCode = DAMAGED
  })
}

async function printStore(store: StoreLedger): Promise<void> {
  await print(`${store.kind}  ${clip(store.path)}`)
  await print(`  ${summary(store)}`)
  const lost = orphanCounts(store.orphans)
  if (lost.length > 0) await print(`  without their session or message: ${lost.join(', ')}${store.orphanRecords ? '' : ' (--orphans names them)'}`)
  for (const { path, table, key } of store.orphanRecords ?? []) await print(`    ${place(path, table, key)}`)
  if (store.superseded > 0) await print(`  ${count(store.superseded, 'record')} of sessions that are read from another store${onlyHere(store)}`)
  for (const { reason, count: number } of store.ignored) await print(`  ${number.toLocaleString('en')} left alone: ${clip(reason)}`)
  for (const record of store.damaged) await print(`  ! ${damage(record)}`)
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

function onlyHere({ kind, onlyHere: { messages, parts } }: StoreLedger): string {
  if (messages + parts === 0) return ''
  return `; ${count(messages, 'message')} and ${count(parts, 'part')} of them only here: read them with --store ${kind}`
}

/** What, why and where: `CORRUPT_RECORD part truncated at byte 512: /path ses_1/msg_1/prt_1`. */
function damage({ code, kind, path, table, key, damage, reason, offset, column, transient }: DamagedRecord): string {
  const at = `${column === undefined ? '' : ` in ${column}`}${offset === undefined ? '' : ` at byte ${offset}`}`
  const why = reason === damage ? '' : `, ${clip(reason)}`
  const soon = transient === true ? '; it may be whole in a moment' : ''
  return `${code} ${kind} ${damage}${at}${why}${soon}: ${place(path, table, key)}`
}

function place(path: string, table: string | undefined, key: string): string {
  return clip([path, ...(table === undefined ? [] : [table]), ...(key === '' ? [] : [key])].join(' '))
}
