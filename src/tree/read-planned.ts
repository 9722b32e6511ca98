/** The second half of a reading: from a plan to the mended tree. */
import { issuesOf, type StageReport, type StageResult } from '../core/stage.js'
import { mendTree } from './copies/mend.js'
import { hydrateSessionTree } from './hydrate.js'
import { resolveSessionTree } from './resolve.js'
import type { Sessions } from './sessions/sessions.js'
import type { FlowResult, SessionHydratedTree, SessionTreePlan } from './types.js'

/** Resolve and hydrate what was planned, and mend it. */
export async function readPlanned(
  sessions: Sessions,
  planned: StageResult<SessionTreePlan>,
  signal: AbortSignal | undefined,
): Promise<FlowResult<SessionHydratedTree>> {
  if (planned.status === 'failed') return { status: 'failed', stage: 'plan', error: planned.error, reports: [planned.report] }
  const resolved = await resolveSessionTree(sessions, planned.value, { signal })
  const reports: StageReport[] = [planned.report, resolved.report]
  if (resolved.status === 'failed') return { status: 'failed', stage: 'resolve', error: resolved.error, reports }
  using refs = resolved.value
  const hydrated = hydrateSessionTree(refs)
  reports.push(hydrated.report)
  if (hydrated.status === 'failed') return { status: 'failed', stage: 'hydrate', error: hydrated.error, reports }
  const found = [...issuesOf(planned), ...issuesOf(resolved), ...issuesOf(hydrated)]
  const { tree, issues, report } = await mendTree(sessions, refs, hydrated.value, found, signal)
  if (report !== undefined) reports.push(report)
  const [first, ...rest] = issues
  if (first === undefined) return { status: 'ok', value: tree, reports }
  return { status: 'partial', value: tree, issues: [first, ...rest], reports }
}
