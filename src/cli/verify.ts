/** spanleaf verify: accounts for every record of every store. */
import type { Command } from 'commander'
import { type LedgerTotal, type StoreLedger, verifyStores } from '../index.js'
import { type CommonOptions, command, withSessions } from './command.js'
import { clip, count, print, printJson } from './output.js'

/** Exit status when something is damaged. */
const DAMAGED = 3

export function verifyCommand(signal: AbortSignal): Command {
  return command('verify', 'read every record of every store and name what is damaged (exit 3 when anything is)').action((options: CommonOptions) =>
    verify(options, signal),
  )
}

async function verify(options: CommonOptions, signal: AbortSignal): Promise<void> {
  await withSessions(options, signal, async (sessions) => {
    const verification = await verifyStores(sessions, { signal })
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
  if (store.orphans > 0) await print(`  ${count(store.orphans, 'orphan')} (messages or parts whose parent is gone)`)
  if (store.superseded > 0) await print(`  ${count(store.superseded, 'record')} of sessions that are read from another store`)
  for (const { reason, count: number } of store.ignored) await print(`  ${number.toLocaleString('en')} left alone: ${reason}`)
  for (const { path, code, reason, key } of store.damaged) await print(`  ! ${code} ${clip(reason)}: ${clip(path)} ${clip(key)}`)
}

function summary(ledger: StoreLedger | LedgerTotal): string {
  return `${count(ledger.sessions, 'session')}, ${count(ledger.messages, 'message')}, ${count(ledger.parts, 'part')}, ${count(ledger.projects, 'project')}, ${ledger.todos} todos, ${ledger.diffs} diffs`
}
