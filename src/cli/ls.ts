/** spanleaf ls: the sessions of every store, of all agents. */
import type { Command } from 'commander'
import type { SessionMeta } from '../index.js'
import { type CommonOptions, command, wholeNumber, withSessions } from './command.js'
import { clip, clipPath, formatTime, print, printJson, terminalWidth } from './output.js'
import { inScope, scopeOf } from './scope.js'

interface LsOptions extends CommonOptions {
  readonly all?: boolean
  readonly limit?: number
  readonly project?: string
}

export function lsCommand(signal: AbortSignal): Command {
  return command('ls', 'list sessions, the last updated first')
    .option('--all', 'child sessions and archived ones too')
    .option('--limit <n>', 'at most so many', wholeNumber)
    .option('--project <dir>', 'only those of this folder (or project id)')
    .action((options: LsOptions) => list(options, signal))
}

async function list(options: LsOptions, signal: AbortSignal): Promise<void> {
  await withSessions(options, signal, async (sessions) => {
    const wanted = options.project === undefined ? () => true : inScope(scopeOf(options.project, sessions))
    const shown = (meta: SessionMeta): boolean => options.all === true || (meta.parent === undefined && meta.archived === undefined)
    const metas = sessions.index
      .sessionsByTime()
      .filter((meta) => shown(meta) && wanted(meta))
      .slice(0, options.limit)
    const counts = await sessions.index.messageCounts(metas.map((meta) => meta.key))
    const widths = widthsOf(metas)
    for (const [at, meta] of metas.entries()) {
      signal.throwIfAborted()
      const messages = counts[at] ?? 0
      if (options.json) await printJson(toJson(meta, messages))
      else await print(toLine(meta, messages, widths))
    }
    if (metas.length === 0 && options.json !== true) await print('No sessions.')
  })
}

function toJson(meta: SessionMeta, messages: number): object {
  const { key, id, title, directory, project, parent, created, updated, archived, model, label, entries, damaged, source, hides } = meta
  return {
    agent: key.agent,
    id,
    title,
    label: label ?? null,
    directory,
    projectId: project,
    parentId: parent ?? null,
    created,
    updated,
    archived: archived ?? null,
    model: model === undefined ? null : { id: model.id, providerID: model.providerID },
    messages,
    entries: entries ?? null,
    damaged,
    source,
    hides,
  }
}

/** Characters. `agent` is 0 where all sessions are of one. */
interface Widths {
  readonly agent: number
  readonly id: number
}

function widthsOf(metas: readonly SessionMeta[]): Widths {
  const agents = [...new Set(metas.map(({ key }) => key.agent))]
  const widest = (texts: readonly string[]): number => Math.max(0, ...texts.map(({ length }) => length))
  return { agent: agents.length > 1 ? widest(agents) + 2 : 0, id: widest(metas.map(({ id }) => id)) }
}

function toLine(meta: SessionMeta, messages: number, widths: Widths): string {
  const agent = widths.agent === 0 ? '' : meta.key.agent.padEnd(widths.agent)
  const left = `${formatTime(meta.updated)}  ${String(messages).padStart(5)}  ${agent}${meta.id.padEnd(widths.id)}  `
  const room = Math.max(20, terminalWidth() - left.length)
  // A title may be all that somebody asked; the folder is to be seen beside it.
  const title = clip(`${marksOf(meta)}${meta.title || '(no title)'}`, Math.max(Math.ceil(room / 2), room - meta.directory.length - 3))
  const folder = clipPath(meta.directory, room - [...title].length - 3)
  return left + [title, folder].filter((words) => words !== '').join(' · ')
}

function marksOf({ damaged, archived, label, parent }: SessionMeta): string {
  const marks = [...(damaged ? ['damaged record'] : []), ...(archived === undefined ? [] : ['archived']), ...(label === undefined ? [] : [label])]
  return marks.map((mark) => `[${mark}] `).join('') + (parent === undefined ? '' : '└ ')
}
