/** What was found, as people read it. */
import type { GrepHit, SessionMeta } from '../index.js'
import { clip, columnsOf, endOf, startOf } from './columns.js'
import { formatDay, formatTime, hasColors, plain, terminalWidth, withoutUnseen } from './output.js'
import { titleAndFolder, withTitle } from './session-lines.js'

/** Ran when, under which id, what and where. */
export function sessionText(session: SessionMeta, width = terminalWidth()): string {
  const agent = session.key.agent === 'opencode' ? '' : `${session.key.agent}  `
  const left = (time: string): string => `${time}  ${agent}${withoutUnseen(session.id)}  `
  return withTitle([left(formatTime(session.updated)), left(formatDay(session.updated))], (room) => titleAndFolder(session, room), width)
}

/** Columns that what was found is to have at least. */
const LEAST_TEXT = 30
/** Columns that are left to what tells where it was found. */
const LEAST_WHERE = 14

/** One line: when, who, in what, and the line of the text around the match; on a terminal no wider than that, the match in bold. */
export function hitText(hit: GrepHit, width = terminalWidth(), colors = hasColors()): string {
  const roomBehind = (time: string): number => width - time.length - ': '.length - LEAST_TEXT
  const [full, day] = [`  ${formatTime(hit.created)}  `, `  ${formatDay(hit.created)}  `]
  const time = roomBehind(full) < LEAST_WHERE ? day : full
  const left = `${time}${whereOf(hit, Math.max(LEAST_WHERE, roomBehind(time)))}: `
  const { before, match, behind } = fitted(hit, Math.max(LEAST_TEXT, width - columnsOf(left)))
  return `${left}${before}${colors ? `\u001b[1;31m${match}\u001b[0m` : match}${behind}`
}

/** `user`, `assistant reasoning`, `assistant bash output:12`. The line tells where in a long text. */
function whereOf({ role, kind, field, tool, line }: GrepHit, room: number): string {
  const what = kind === 'text' ? '' : kind === 'tool' ? `${tool ?? 'tool'} ${field}` : kind === 'message' ? field : kind
  const place = line > 1 ? `:${line}` : ''
  return clip(`${role ?? 'damaged message'} ${what}`, room - place.length) + place
}

interface Pieces {
  readonly before: string
  readonly match: string
  readonly behind: string
}

/** The match, and as much of what stands around it as there is room for; an ellipsis where the line goes on. */
function fitted({ text, match: { start, end }, cut }: GrepHit, room: number): Pieces {
  const [before, match, behind] = [oneLine(text.slice(0, start)).trimStart(), oneLine(text.slice(start, end)), oneLine(text.slice(end)).trimEnd()]
  if (room === Number.POSITIVE_INFINITY) return { before: (cut.start ? '…' : '') + before, match, behind: behind + (cut.end ? '…' : '') }
  // A match may be long; the texts around it are not.
  const widths = { before: columnsOf(before), match: columnsOf(startOf(match, room)), behind: columnsOf(behind) }
  const isWhole = !cut.start && !cut.end && widths.before + widths.match + widths.behind <= room
  const left = Math.max(0, room - widths.match - (isWhole ? 0 : '……'.length))
  const shownBefore = endOf(before, Math.max(Math.floor(left / 2), left - widths.behind))
  const shownBehind = startOf(behind, left - columnsOf(shownBefore))
  return {
    before: (cut.start || shownBefore !== before ? '…' : '') + shownBefore,
    match: widths.match > room - 2 ? `${startOf(match, room - 3)}…` : match,
    behind: shownBehind + (cut.end || shownBehind !== behind ? '…' : ''),
  }
}

/** Line breaks and the like are a blank each; blanks stay, for they may be what was looked for. */
function oneLine(text: string): string {
  return plain(text.replace(/[\r\n\t\u2028\u2029]/g, ' '))
}
