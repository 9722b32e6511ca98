/** spanleaf reindex: lists every store anew, trusting nothing that was listed before, and keeps what it finds. */
import { join } from 'node:path'
import type { Command } from 'commander'
import type { RefreshReport, Sessions, StageIssue } from '../index.js'
import { type CommonOptions, command, homeOf, openStores, refuseNoStore } from './command.js'
import { type CatalogFile, catalogAt } from './freshness.js'
import { count, formatBytes, issueLine, print, printJson, span, warn } from './output.js'

/** Milliseconds between two looks of a person. */
const PERIOD_MS = 100

export function reindexCommand(signal: AbortSignal): Command {
  return command('reindex', {
    narrows: false,
    agents: true,
  }).action((options: CommonOptions) => reindex(options, signal))
}

async function reindex(options: CommonOptions, signal: AbortSignal): Promise<void> {
  const { data, agent } = options
  const home = homeOf(options)
  const sessions = await openStores({ ...(data && { data }), ...(agent && { agent }), home, signal })
  let report: RefreshReport
  let total = 0
  try {
    if (sessions.stores.length === 0) refuseNoStore(options)
    report = (await withProgress(sessions, () => sessions.refresh({ deep: true, signal }))).report
    total = sessions.index.stats().sessions
  } finally {
    // What was listed is kept by then, or never.
    await sessions.close()
  }
  const issues = sessions.issues.filter(({ key }) => key === undefined)
  for (const issue of issues) warn(issueLine(issue))
  const { keptIn } = sessions
  const catalog = keptIn === undefined ? undefined : catalogAt(keptIn)
  if (options.json) await printJson(toJson(report, total, catalog))
  else await print(`${toText(report, total)}\n${catalog === undefined ? `not kept: ${reasonIn(issues, home)}` : keptText(catalog)}`)
  if (catalog === undefined) process.exitCode = 1
}

/** What was read so far, on the last line of a terminal, as often as the listing lets others have their turn. */
async function withProgress<T>({ stores }: Sessions, act: () => Promise<T>): Promise<T> {
  if (process.stderr.isTTY !== true) return act()
  const before = stores.map(({ work }) => ({ ...work }))
  const show = (): void => {
    const sum = (name: 'files' | 'rows' | 'bytes'): number => stores.reduce((all, { work }, at) => all + work[name] - (before[at]?.[name] ?? 0), 0)
    const read = [count(sum('files'), 'file'), count(sum('rows'), 'row'), formatBytes(sum('bytes'))].join(', ')
    process.stderr.write(`\r\u001b[2Klisting ${count(stores.length, 'store')}: ${read}`)
  }
  const timer = setInterval(show, PERIOD_MS)
  try {
    return await act()
  } finally {
    clearInterval(timer)
    process.stderr.write('\r\u001b[2K')
  }
}

function toJson({ durationMs, stores, files, rows, bytes, stats }: RefreshReport, sessions: number, catalog: CatalogFile | undefined): object {
  return { sessions, stores, durationMs, files, rows, bytes, stats, catalog: catalog ?? null }
}

/** Why the catalog does not hold all that was listed. */
function reasonIn(issues: readonly StageIssue[], home: string): string {
  const issue = issues.findLast(({ code, transient }) => code === 'SQLITE_DRIVER_MISSING' || (code === 'CATALOG_UNAVAILABLE' && transient === true))
  return issue?.reason ?? `another process was writing to ${join(home, 'sessions.idx.db')}`
}

function keptText({ path, bytes }: CatalogFile): string {
  return `kept in ${path} (${formatBytes(bytes)})`
}

function toText({ durationMs, stores, files, rows, bytes }: RefreshReport, sessions: number): string {
  const read = [...(files > 0 ? [count(files, 'file')] : []), ...(rows > 0 ? [count(rows, 'row')] : []), formatBytes(bytes)].join(', ')
  return `${count(sessions, 'session')} in ${count(stores, 'store')}, listed in ${span(durationMs)} (${read} read)`
}
