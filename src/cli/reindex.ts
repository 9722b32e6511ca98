/** spanleaf reindex: lists every store anew, trusting nothing that was listed before, and keeps what it finds. */
import type { Command } from 'commander'
import type { RefreshReport, Sessions } from '../index.js'
import { type CommonOptions, command, homeOf, openStores, refuseNoStore } from './command.js'
import { type CatalogFile, catalogFile } from './freshness.js'
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
    for (const issue of sessions.issues) if (issue.key === undefined) warn(issueLine(issue))
  } finally {
    // What was listed is kept by then.
    await sessions.close()
  }
  const catalog = catalogFile(home)
  if (options.json) await printJson(toJson(report, total, catalog))
  else await print(toText(report, total, catalog))
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

function toText({ durationMs, stores, files, rows, bytes }: RefreshReport, sessions: number, catalog: CatalogFile | undefined): string {
  const read = [...(files > 0 ? [count(files, 'file')] : []), ...(rows > 0 ? [count(rows, 'row')] : []), formatBytes(bytes)].join(', ')
  const kept = catalog === undefined ? '' : `\nkept in ${catalog.path} (${formatBytes(catalog.bytes)})`
  return `${count(sessions, 'session')} in ${count(stores, 'store')}, listed in ${span(durationMs)} (${read} read)${kept}`
}
