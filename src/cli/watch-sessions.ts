/** spanleaf watch: a line for each session that is new, changes or goes, until it is interrupted. */
import { type Command, Option } from 'commander'
import { encodeKey, type SessionChange, type SessionMeta, type Sessions, StorageError, type WatchOptions, watchSessions } from '../index.js'
import { type CommonOptions, command, LONGEST_WAIT_MS, numberUpTo, withCatalog, withSessions } from './command.js'
import { count, issueLine, print, printJson, terminalWidth, warn, withoutUnseen } from './output.js'
import { titleAndFolder, withTitle } from './session-lines.js'

interface WatchCommandOptions extends CommonOptions {
  readonly backend?: NonNullable<WatchOptions['watch']>
  readonly poll?: number
}

const BACKENDS = ['auto', 'poll', 'inotify', 'fs-events', 'watchman', 'windows', 'brute-force'] as const

export function watchCommand(signal: AbortSignal): Command {
  return withCatalog(command('watch'))
    .addOption(new Option('--backend <name>', 'what tells of changes').choices(BACKENDS).default('auto'))
    .option('--poll <ms>', 'milliseconds between two looks where nothing tells of changes (default: 500)', numberUpTo(LONGEST_WAIT_MS))
    .action((options: WatchCommandOptions) => watch(options, signal))
}

async function watch({ backend, poll, ...options }: WatchCommandOptions, signal: AbortSignal): Promise<void> {
  const follow = async (sessions: Sessions): Promise<void> => {
    const telling = new Telling(sessions, options)
    const changes = watchSessions(sessions, {
      signal,
      ...(backend !== undefined && { watch: backend }),
      ...(poll !== undefined && { pollMs: poll }),
      onIssue: (issue) => warn(issueLine(issue)),
    })
    const narrowed = options.agent !== undefined || options.store !== undefined
    const what = narrowed ? 'no such store' : 'no store of a coding agent'
    if (sessions.stores.length === 0) process.stderr.write(`there is ${what} yet, waiting for one; Ctrl-C stops\n`)
    else if (options.json !== true) process.stderr.write(`watching ${count(sessions.index.stats().sessions, 'session')}; Ctrl-C stops\n`)
    for await (const change of changes) await telling.tell(change)
  }
  await withSessions(options, signal, follow, { none: true })
}

class Telling {
  readonly #sessions: Sessions
  readonly #json: boolean
  /** As they were told of or listed last, for one that goes has no title any more. */
  readonly #known: Map<string, SessionMeta>

  constructor(sessions: Sessions, { json = false }: CommonOptions) {
    this.#sessions = sessions
    this.#json = json
    this.#known = new Map(sessions.index.sessionsByTime().map((meta) => [encodeKey(meta.key), meta]))
  }

  async tell(change: SessionChange): Promise<void> {
    const name = encodeKey(change.session)
    const meta = this.#sessions.index.session(change.session) ?? this.#known.get(name)
    if (meta === undefined || change.kind === 'removed') this.#known.delete(name)
    else this.#known.set(name, meta)
    const messages = change.kind === 'removed' ? undefined : await this.#messagesOf(change)
    if (this.#json) await printJson(changeJson(change, meta, messages))
    else await print(changeText(change, meta, messages))
  }

  /** Undefined for a session that is gone by now: the next change tells so. */
  async #messagesOf({ session }: SessionChange): Promise<number | undefined> {
    try {
      return await this.#sessions.index.messageCount(session)
    } catch (error) {
      if (error instanceof StorageError) return undefined
      throw error
    }
  }
}

function changeJson({ session, kind, generation }: SessionChange, meta: SessionMeta | undefined, messages: number | undefined): object {
  const { title = null, directory = null, updated = null } = meta ?? {}
  return { at: Date.now(), kind, agent: session.agent, session: session.session, title, directory, updated, messages: messages ?? null, generation }
}

/** `11:03:12  changed  ses_1  12 messages  title · /folder` */
export function changeText(
  { session, kind }: SessionChange,
  meta: SessionMeta | undefined,
  messages: number | undefined,
  width = terminalWidth(),
): string {
  const agent = session.agent === 'opencode' ? '' : `${session.agent}  `
  const what = `${kind.padEnd('changed'.length)}  ${agent}${withoutUnseen(session.session)}  `
  const timed = `${new Date().toTimeString().slice(0, 8)}  ${what}`
  const counted = messages === undefined ? timed : `${timed}${count(messages, 'message')}  `
  return meta === undefined ? counted.trimEnd() : withTitle([counted, timed, what], (room) => titleAndFolder(meta, room), width)
}
