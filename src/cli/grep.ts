/** spanleaf grep: finds a text in what was said, without an index. */
import { type Command, InvalidArgumentError, Option } from 'commander'
import {
  findSessionsContaining,
  type GrepHit,
  type GrepKind,
  type GrepOptions,
  grepSessions,
  type SessionId,
  type SessionMeta,
  StorageError,
} from '../index.js'
import { type CommonOptions, collect, command, positiveNumber, withCatalog, withSessions } from './command.js'
import { SearchProgress } from './grep-progress.js'
import { hitText, sessionText } from './grep-text.js'
import { count, print, printJson, warn } from './output.js'
import { cwdOption } from './scope.js'

interface GrepCommandOptions extends CommonOptions {
  readonly ignoreCase?: boolean
  readonly regex?: boolean
  readonly kind?: readonly GrepKind[]
  readonly cwd?: readonly string[]
  readonly session?: readonly string[]
  readonly limit?: number
  readonly sessions?: boolean
}

const KINDS: readonly GrepKind[] = ['text', 'reasoning', 'tool', 'file', 'patch', 'subtask', 'agent', 'message', 'unknown']

export function grepCommand(signal: AbortSignal): Command {
  return withCatalog(command('grep'))
    .argument('<pattern>', 'the text, as it stands there')
    .option('-i, --ignore-case', 'upper and lower case are the same')
    .option('-E, --regex', 'the pattern is a regular expression of JavaScript; ^ and $ are the ends of lines')
    .addOption(new Option('--kind <kind>', `only in parts of this kind: ${KINDS.join(', ')} (repeatable)`).argParser(collectKind))
    .option('--cwd <dir>', 'only sessions that ran in exactly this folder; with a / at its end: or below it', cwdOption)
    .option('--session <id>', 'only this session (repeatable)', collect)
    .option('--limit <n>', 'end after so many hits', positiveNumber)
    .option('--sessions', 'name the sessions alone, not what was found in them')
    .action((pattern: string, options: GrepCommandOptions) => grep(pattern, options, signal))
}

async function grep(text: string, options: GrepCommandOptions, signal: AbortSignal): Promise<void> {
  const pattern = options.regex === true ? expressionOf(text) : text
  await withSessions(options, signal, async (sessions) => {
    const progress = new SearchProgress()
    let damaged = 0
    const how: GrepOptions = { ...optionsOf(options), signal, onIssue: () => damaged++, onProgress: (state) => progress.show(state) }
    const json = options.json === true
    const found =
      options.sessions === true
        ? await printAll(findSessionsContaining(sessions, pattern, how), progress, json, printSession)
        : await printAll(grepSessions(sessions, pattern, how), progress, json, hitPrinter())
    progress.clear()
    if (damaged > 0)
      warn(`${count(damaged, 'record is', 'records are')} damaged or could not be read, and not searched as a whole; \`spanleaf verify\` names them`)
    if (found === 0) process.exitCode = 1
  })
}

function optionsOf({ ignoreCase, kind, cwd, session, limit }: GrepCommandOptions): GrepOptions {
  return {
    ...(ignoreCase !== undefined && { ignoreCase }),
    ...(kind !== undefined && { kinds: kind }),
    ...(cwd !== undefined && { cwd }),
    ...(session !== undefined && { sessions: session as readonly SessionId[] }),
    ...(limit !== undefined && { limit }),
  }
}

/** @throws StorageError INVALID_OPTION */
function expressionOf(text: string): RegExp {
  try {
    return new RegExp(text, 'm')
  } catch (cause) {
    throw new StorageError('INVALID_OPTION', { reason: cause instanceof Error ? cause.message : String(cause) }, { cause })
  }
}

/** What prints one thing that was found. */
type Print<T> = (found: T, json: boolean) => Promise<void>

async function printAll<T>(found: AsyncIterable<T>, progress: SearchProgress, json: boolean, printOne: Print<T>): Promise<number> {
  let count = 0
  for await (const one of found) {
    progress.clear()
    await printOne(one, json)
    count++
  }
  return count
}

/** The hits of a session stand below its name. */
function hitPrinter(): Print<GrepHit> {
  let session: SessionMeta | undefined
  return async (hit, json) => {
    if (json) return printJson(hitJson(hit))
    if (session !== hit.session) await print(`${session === undefined ? '' : '\n'}${sessionText(hit.session)}`)
    session = hit.session
    await print(hitText(hit))
  }
}

const printSession: Print<SessionMeta> = (session, json) => (json ? printJson(sessionJson(session)) : print(sessionText(session)))

function sessionJson({ key, id, title, directory, created, updated, source }: SessionMeta): object {
  return { agent: key.agent, session: id, title, directory, created, updated, source }
}

function hitJson({ session, message, part, role, kind, field, tool, created, line, text, match, cut }: GrepHit): object {
  const { key, title, directory } = session
  const place = { agent: key.agent, session: key.session, message: message.message, part: part?.part ?? null }
  return { ...place, title, directory, role: role ?? null, kind, field, tool: tool ?? null, created, line, text, match, cut }
}

function collectKind(value: string, previous: readonly GrepKind[] | undefined): readonly GrepKind[] {
  const kind = KINDS.find((name) => name === value)
  if (kind === undefined) throw new InvalidArgumentError(`It must be one of ${KINDS.join(', ')}.`)
  return [...(previous ?? []), kind]
}
