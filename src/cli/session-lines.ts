/** Sessions as lines that end with their title and folder, which is what gives way where the terminal is narrow. */
import type { SessionMeta, SessionSort } from '../index.js'
import { clip, clipPath, columnsOf, padTo } from './columns.js'
import { formatDay, formatTime, terminalWidth, withoutUnseen } from './output.js'

export interface SessionTable {
  readonly head: string
  line(meta: SessionMeta, messages: number): string
}

export interface TableOptions {
  readonly sort?: SessionSort | undefined
  readonly width?: number
}

interface Cells {
  readonly time: string
  readonly day: string
  readonly messages: string
  readonly agent: string
  readonly id: string
}

/** What stands before the title, where there is less and less room. Ids are never cut: they are what other commands take. */
const LAYOUTS: readonly (readonly (keyof Cells)[])[] = [
  ['time', 'messages', 'agent', 'id'],
  ['day', 'messages', 'agent', 'id'],
  ['day', 'agent', 'id'],
  ['agent', 'id'],
  ['id'],
]

/** Longer ids push what follows them on their own line alone. */
const WIDEST_ID = 40

/** The time is the one that is sorted by; the agent is told where sessions are of several. */
export function sessionTable(metas: readonly SessionMeta[], { sort, width = terminalWidth() }: TableOptions): SessionTable {
  const agents = [...new Set(metas.map(({ key }) => key.agent))]
  const widest = (texts: readonly string[]): number => texts.reduce((most, text) => Math.max(most, columnsOf(text)), 0)
  const widths = {
    time: 16,
    day: 10,
    messages: 8,
    agent: widest(['AGENT', ...agents]),
    id: Math.min(WIDEST_ID, widest(['SESSION', ...metas.map(({ id }) => withoutUnseen(id))])),
  }
  const layouts = LAYOUTS.map((names) => names.filter((name) => name !== 'agent' || agents.length > 1))
  const roomIn = (names: readonly (keyof Cells)[]): number => names.reduce((room, name) => room - widths[name] - GAP.length, width)
  const layout = layouts.find((names) => roomIn(names) >= LEAST_TITLE) ?? ['id']
  const left = (cells: Cells): string =>
    layout.map((name) => (name === 'messages' ? cells[name].padStart(widths[name]) : padTo(cells[name], widths[name])) + GAP).join('')
  const isByCreation = sort === 'created'
  const name = isByCreation ? 'CREATED' : 'UPDATED'
  return {
    head: withTitle(
      [left({ time: name, day: name, messages: 'MESSAGES', agent: 'AGENT', id: 'SESSION' })],
      (room) => clip('TITLE · FOLDER', room),
      width,
    ),
    line(meta, messages) {
      const at = isByCreation ? meta.created : meta.updated
      const cells = {
        time: formatTime(at),
        day: formatDay(at),
        messages: messages.toLocaleString('en'),
        agent: meta.key.agent,
        id: withoutUnseen(meta.id),
      }
      return withTitle([left(cells)], (room) => titleAndFolder(meta, room), width)
    },
  }
}

const GAP = '  '

/** Columns that a title is to have at least. */
const LEAST_TITLE = 20

/** The first of several beginnings of a line, the longest first, that leaves a title enough room; the last one where none does. */
export function withTitle(lefts: readonly string[], title: (room: number) => string, width: number): string {
  const left = lefts.find((text) => width - columnsOf(text) >= LEAST_TITLE) ?? lefts.at(-1) ?? ''
  const room = width - columnsOf(left)
  return room > 0 ? left + title(room) : left.trimEnd()
}

/** Of less than so many columns of a folder nobody learns where it is. */
const LEAST_FOLDER = 12

/** In at most `room` columns. A title may be all that somebody asked; the folder is to be seen beside it where there is room for both. */
export function titleAndFolder(meta: SessionMeta, room: number): string {
  const words = `${marksOf(meta)}${meta.title || '(no title)'}`
  if (room === Number.POSITIVE_INFINITY) return [clip(words), clip(meta.directory)].filter((text) => text !== '').join(SEPARATOR)
  const folderWidth = columnsOf(clip(meta.directory, room))
  const title = clip(words, room < 2 * LEAST_TITLE ? room : Math.max(Math.ceil(room / 2), room - folderWidth - SEPARATOR.length))
  const left = room - columnsOf(title) - SEPARATOR.length
  if (folderWidth === 0 || left < Math.min(LEAST_FOLDER, folderWidth)) return title
  return title + SEPARATOR + clipPath(meta.directory, left)
}

const SEPARATOR = ' · '

function marksOf({ damaged, archived, label, tag, parent }: SessionMeta): string {
  const marks = [
    ...(damaged ? ['damaged record'] : []),
    ...(archived === undefined ? [] : ['archived']),
    ...(label === undefined ? [] : [label]),
    ...(tag === undefined ? [] : [`#${tag}`]),
  ]
  return marks.map((mark) => `[${mark}] `).join('') + (parent === undefined ? '' : '└ ')
}
