/** spanleaf verify --index: holds the sink against the ledger of the index, and that against the sessions. */
import { createIndexer, hasIndex, type IndexDifference, type VerifyReport } from '../indexer/index.js'
import { clip } from './columns.js'
import { homeOf, refuseNoIndex, withSessions } from './command.js'
import { failpointOf } from './failpoint.js'
import { leftOutText } from './health.js'
import { openHome } from './home.js'
import { count, print, printJson } from './output.js'
import type { ServiceOptions } from './services.js'

export interface VerifyIndexOptions extends ServiceOptions {
  readonly repair?: boolean
}

const SHOWN = 50

const MEANING: Readonly<Record<IndexDifference['kind'], string>> = {
  missing: 'not in the sink',
  stale: 'the sink holds an older write of it',
  orphan: 'in the sink, and nothing names it',
  unindexed: 'a finished message that is not indexed',
  outdated: 'an older version of it is indexed',
  leftover: 'indexed, and the session does not show it',
}

/** True when the index is exact. */
export async function verifyIndex(options: VerifyIndexOptions, signal: AbortSignal): Promise<boolean> {
  if (!hasIndex(homeOf(options))) refuseNoIndex()
  return withSessions(options, signal, async (sessions) => {
    await using home = await openHome(options, { sessions, signal })
    await using indexer = createIndexer({ ...home, sessions, signal, failpoint: failpointOf(process.env) })
    const report = await indexer.verify({ repair: options.repair === true, signal })
    if (options.json) await printJson(reportJson(report))
    else await printReport(report, options)
    return report.differences.length === 0
  })
}

function reportJson({ differences, ...report }: VerifyReport): object {
  return {
    ...report,
    counts: Object.fromEntries(countsOf(differences)),
    differences: differences.map(({ kind, key, message, document }) => ({
      kind,
      agent: key?.agent ?? null,
      session: key?.session ?? null,
      message: message ?? null,
      document: document ?? null,
    })),
  }
}

async function printReport(report: VerifyReport, { repair }: VerifyIndexOptions): Promise<void> {
  const { differences, sessions, messages, documents, unsettled, quarantined, leftOut, unknown, repaired } = report
  const compared = `${count(sessions, 'session')}, ${count(messages, 'message')}, ${count(documents, 'document')}`
  await print(`compared: ${compared}`)
  if (unsettled > 0) await print(`  ${count(unsettled, 'message')} still being written, indexed once finished`)
  if (quarantined > 0) await print(`  ${count(quarantined, 'message')} with a text that was put aside (spanleaf retry --list)`)
  if (leftOut > 0) await print(`  ${leftOutText(leftOut)}`)
  if (unknown > 0) await print(`  ${count(unknown, 'session')} could not be looked at, or changed meanwhile: nothing is said of them`)
  if (repaired > 0) await print(`  ${count(repaired, 'difference')} repaired`)
  for (const { kind, key, message, document } of differences.slice(0, SHOWN)) {
    const what = [key?.session, message, document].filter((id) => id !== undefined).join(' ')
    await print(`  ! ${kind.padEnd(9)} ${clip(what)}  ${MEANING[kind]}`)
  }
  if (differences.length > SHOWN) await print(`  and ${count(differences.length - SHOWN, 'more difference')}; --json lists all`)
  const counts = countsOf(differences).map(([kind, number]) => `${number.toLocaleString('en')} ${kind}`)
  const advice = repair ? 'these could not be repaired now, see spanleaf status' : 'spanleaf verify --index --repair mends them'
  await print(differences.length === 0 ? 'the index is exact' : `${count(differences.length, 'difference')}: ${counts.join(', ')}; ${advice}`)
}

/** In the order of MEANING, without those that are not there. */
function countsOf(differences: readonly IndexDifference[]): readonly (readonly [IndexDifference['kind'], number])[] {
  const kinds = Object.keys(MEANING) as IndexDifference['kind'][]
  return kinds.map((kind) => [kind, differences.filter((one) => one.kind === kind).length] as const).filter(([, number]) => number > 0)
}
