/** What was found, as people read it. */
import type { GrepHit, SessionMeta } from '../index.js'
import { titleAndFolder } from './ls.js'
import { formatTime, hasColors, plain, terminalWidth } from './output.js'

/** Ran when, under which id, what and where. */
export function sessionText(session: SessionMeta): string {
  const agent = session.key.agent === 'opencode' ? '' : `${session.key.agent}  `
  const left = `${formatTime(session.updated)}  ${agent}${session.id}  `
  return left + titleAndFolder(session, Math.max(20, terminalWidth() - left.length))
}

/** One line: when, who, in what, and the line of the text around the match; on a terminal no wider than that, the match in bold. */
export function hitText(hit: GrepHit, width = terminalWidth(), colors = hasColors()): string {
  const left = `  ${formatTime(hit.created)}  ${whereOf(hit)}: `
  const { before, match, behind } = fitted(hit, Math.max(30, width - left.length))
  return `${left}${before}${colors ? `\u001b[1;31m${match}\u001b[0m` : match}${behind}`
}

/** `user`, `assistant reasoning`, `assistant bash output:12`. The line tells where in a long text. */
function whereOf({ role, kind, field, tool, line }: GrepHit): string {
  const what = kind === 'text' ? '' : kind === 'tool' ? `${plain(tool ?? 'tool')} ${field}` : kind === 'message' ? field : kind
  return `${[role ?? 'damaged message', what].filter((word) => word !== '').join(' ')}${line > 1 ? `:${line}` : ''}`
}

interface Pieces {
  readonly before: string
  readonly match: string
  readonly behind: string
}

/** The match, and as much of what stands around it as there is room for; an ellipsis where the line goes on. */
function fitted({ text, match: { start, end }, cut }: GrepHit, room: number): Pieces {
  const match = [...oneLine(text.slice(start, end))]
  const before = [...oneLine(text.slice(0, start)).trimStart()]
  const behind = [...oneLine(text.slice(end)).trimEnd()]
  const isWhole = !cut.start && !cut.end && before.length + match.length + behind.length <= room
  const left = Math.max(0, room - match.length - (isWhole ? 0 : '……'.length))
  const forBefore = Math.min(before.length, Math.max(Math.floor(left / 2), left - behind.length))
  const forBehind = Math.min(behind.length, left - forBefore)
  return {
    before: (cut.start || forBefore < before.length ? '…' : '') + before.slice(before.length - forBefore).join(''),
    match: match.length > room - 2 ? `${match.slice(0, room - 3).join('')}…` : match.join(''),
    behind: behind.slice(0, forBehind).join('') + (cut.end || forBehind < behind.length ? '…' : ''),
  }
}

/** Line breaks and the like are a blank each; blanks stay, for they may be what was looked for. */
function oneLine(text: string): string {
  return plain(text.replace(/[\r\n\t]/g, ' '))
}
