/** Everything in the logs of an agent, line by line: what is read, what is damaged, what is left out and why. */

import { messageKey, partKey, type SessionKey } from '../../core/keys.js'
import type { FileMaps } from '../maps/file-maps.js'
import { Slab, SlabPool } from '../slab.js'
import type { CensusEntry } from '../store.js'
import { linePart } from './line-names.js'
import { type LeftOut, LogIndex, type LogLine, type LogMessage, lineId } from './log-index.js'
import { type LineRead, openLines } from './log-leaves.js'
import type { ListedLog } from './log-pass.js'
import { sessionLeaf } from './log-record.js'
import type { LogSessions } from './log-sessions.js'
import { type Viewing, viewLog } from './log-view.js'

/** Lines per look at the files. */
const PAGE = 256

export interface CensusSources extends Viewing {
  readonly sessions: LogSessions
  readonly maps: FileMaps
  readonly deep: boolean
}

/** A line to be looked at, and why it is left out if it is. */
interface CountedLine extends LineRead {
  readonly ignored: string | undefined
}

/**
 * A line that several messages are made of counts with the one that it begins, or else with the first. A session is what its lines tell: it is
 * no record of its own. With `deep` lines that are left out are records too, to be checked like all others.
 */
export async function* logCensus({ sessions, ...options }: CensusSources, slab: () => Slab): AsyncGenerator<CensusEntry> {
  const pool = new SlabPool()
  for (const listed of [...sessions.all]) {
    yield sessionEntry(listed, slab())
    if (listed.entry.damage === undefined) yield* linesOf(listed, options, pool)
  }
  const counts = new Map<string, number>()
  for (const { reason } of sessions.leftOut) counts.set(reason, (counts.get(reason) ?? 0) + 1)
  for (const [reason, count] of counts) yield { what: 'ignored', reason, count }
}

function sessionEntry({ key, entry }: ListedLog, slab: Slab): CensusEntry {
  return { what: 'record', kind: 'session', key, path: entry.path, leaf: sessionLeaf(key, entry, undefined, slab), orphan: false }
}

async function* linesOf({ key, session, entry }: ListedLog, options: Omit<CensusSources, 'sessions'>, pool: SlabPool): AsyncGenerator<CensusEntry> {
  const log = new LogIndex()
  const leftOut: LeftOut[] = []
  if (options.deep) log.onLeftOut = (what) => leftOut.push(what)
  const view = await viewLog(session, key, options, log)
  for (const issue of view.issues) yield { what: 'unreadable', path: issue.path ?? entry.path, reason: issue.reason }
  // A line that belongs to a message which the log does not have yet.
  if (log.notes.context !== undefined) log.ignore(log.notes.context as LogLine, 'settings of turns without a step')
  for (const { line } of (log.notes.held ?? []) as readonly { readonly line: LogLine }[]) log.ignore(line, 'events that nothing repeats yet')
  const others = leftOut.map(({ line, reason }): CountedLine => ({ key, line: { ...line, use: 'own' }, generation: undefined, ignored: reason }))
  const reads = [...messageLines(key, log.messages), ...others]
  for (let from = 0; from < reads.length; from += PAGE) {
    options.signal?.throwIfAborted()
    using slab = new Slab(pool)
    const page = reads.slice(from, from + PAGE)
    const leaves = await openLines(view, page, slab, options)
    for (const [at, leaf] of leaves.entries()) {
      const { key: own, line, ignored } = page[at] as CountedLine
      const path = session.files[line.file]?.path ?? entry.path
      const kind = ignored === undefined ? own.kind : 'document'
      yield { what: 'record', kind, key: own, path, leaf, orphan: false, ...(ignored !== undefined && { ignored }) }
    }
  }
  if (!options.deep) for (const [reason, count] of log.ignored) yield { what: 'ignored', reason, count }
}

function messageLines(key: SessionKey, messages: readonly LogMessage[]): readonly CountedLine[] {
  const begun = new Set(messages.flatMap(({ lines }) => lines.slice(0, 1).map(lineId)))
  const seen = new Set<string>()
  return messages.flatMap(({ id, lines }) => {
    const message = messageKey(key, id)
    return lines.flatMap((line, at): CountedLine[] => {
      const place = lineId(line)
      if (seen.has(place) || (at > 0 && begun.has(place))) return []
      seen.add(place)
      return [{ key: at === 0 ? message : partKey(message, linePart(line)), line, generation: undefined, ignored: undefined }]
    })
  })
}
