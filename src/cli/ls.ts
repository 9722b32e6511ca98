/** spanleaf ls: the sessions of every store. */
import type { Command } from 'commander'
import type { SessionMeta } from '../index.js'
import { type CommonOptions, command, wholeNumber, withSessions } from './command.js'
import { clip, formatTime, print, printJson, terminalWidth } from './output.js'
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
    for (const [at, meta] of metas.entries()) {
      signal.throwIfAborted()
      const messages = counts[at] ?? 0
      if (options.json) await printJson(toJson(meta, messages))
      else await print(toLine(meta, messages))
    }
    if (metas.length === 0 && options.json !== true) await print('No sessions.')
  })
}

function toJson(meta: SessionMeta, messages: number): object {
  const { key, id, title, directory, project, parent, created, updated, archived, damaged, source, hides } = meta
  return {
    agent: key.agent,
    id,
    title,
    directory,
    projectId: project,
    parentId: parent ?? null,
    created,
    updated,
    archived: archived ?? null,
    messages,
    damaged,
    source,
    hides,
  }
}

function toLine(meta: SessionMeta, messages: number): string {
  const marks = `${meta.damaged ? '[damaged record] ' : ''}${meta.archived === undefined ? '' : '[archived] '}${meta.parent === undefined ? '' : '└ '}`
  const left = `${formatTime(meta.updated)}  ${String(messages).padStart(5)}  ${meta.id}  `
  const text = [`${marks}${meta.title || '(no title)'}`, meta.directory].filter((words) => words !== '').join('  ·  ')
  return left + clip(text, Math.max(20, terminalWidth() - left.length))
}
