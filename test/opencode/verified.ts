/** What `spanleaf verify` says of a data folder. */
import { spanleaf } from './spanleaf.js'

export interface Verified {
  readonly status: number | null
  readonly stderr: string
  readonly sessions: number
  readonly messages: number
  readonly parts: number
  readonly orphanParts: number
  /** Everything that was accounted for, in whatever column. */
  readonly accounted: number
  /** Paths. */
  readonly damaged: readonly string[]
}

interface Totals
  extends Readonly<Record<'sessions' | 'messages' | 'parts' | 'todos' | 'diffs' | 'projects' | 'superseded' | 'ignored' | 'damaged', number>> {
  readonly orphans: Readonly<Record<'messages' | 'parts' | 'todos' | 'diffs', number>>
}

export async function verified(data: string): Promise<Verified> {
  const { status, stdout, stderr } = await spanleaf(['verify', '--json', '--data', data])
  const { stores, total } = JSON.parse(stdout) as { stores: { damaged: { path: string }[] }[]; total: Totals }
  const { sessions, messages, parts, todos, diffs, projects, superseded, ignored, damaged, orphans } = total
  const columns = [sessions, messages, parts, todos, diffs, projects, superseded, ignored, damaged, ...Object.values(orphans)]
  return {
    status,
    stderr,
    sessions,
    messages,
    parts,
    orphanParts: orphans.parts,
    accounted: columns.reduce((sum, count) => sum + count, 0),
    damaged: stores.flatMap((store) => store.damaged.map(({ path }) => path)),
  }
}
