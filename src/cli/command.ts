/** What every command shares: its options, its stores, and how it ends. */
import { homedir } from 'node:os'
import { resolve } from 'node:path'
import { Command, InvalidArgumentError, Option } from 'commander'
import { openSessions, type SessionId, type SessionMeta, type Sessions, StorageError, spanleafHome } from '../index.js'
import { warn } from './output.js'

export interface CommonOptions {
  readonly data?: readonly string[]
  readonly home: string
  readonly json?: boolean
}

/** A subcommand with the options that all have. */
export function command(name: string, description: string): Command {
  return new Command(name)
    .description(description)
    .addOption(new Option('--data <dir>', 'read this data folder or database instead of looking for stores (repeatable)').argParser(collect))
    .addOption(
      new Option('--home <dir>', "spanleaf's own folder").default(spanleafHome(process.env, homedir()), '$SPANLEAF_HOME or the XDG state folder'),
    )
    .option('--json', 'one JSON object per line')
}

/** Runs `use` with the open stores; warns of what could not be read, and closes them. */
export async function withSessions<T>(options: CommonOptions, signal: AbortSignal, use: (sessions: Sessions) => Promise<T>): Promise<T> {
  const sessions = await openSessions({ ...(options.data && { data: options.data }), signal })
  try {
    if (sessions.stores.length === 0) {
      throw new StorageError('STORE_MISSING', { reason: 'no OpenCode store was found on this machine; name one with --data' })
    }
    for (const issue of sessions.issues) {
      if (issue.key === undefined) warn(`${issue.reason} (${issue.path ?? 'unknown'})`)
    }
    return await use(sessions)
  } finally {
    await sessions.close()
  }
}

/** Collects a repeatable option. */
export function collect(value: string, previous: readonly string[] | undefined): readonly string[] {
  return [...(previous ?? []), value]
}

/** A whole number from 0 up. */
export function wholeNumber(text: string): number {
  if (/^\d+$/.test(text)) return Number(text)
  throw new InvalidArgumentError('It must be a whole number.')
}

/** A date (`2026-11-20`, ISO 8601) or an age (`36h`, `7d`, `2w`), as epoch milliseconds. */
export function timeOption(text: string): number {
  const [, amount, unit] = /^(\d+)([mhdw])$/.exec(text) ?? []
  if (amount !== undefined && unit !== undefined) return Date.now() - Number(amount) * (UNIT_MS[unit] ?? 0)
  const time = Date.parse(text)
  if (Number.isFinite(time)) return time
  throw new InvalidArgumentError('It must be a date such as 2026-11-20, or an age such as 36h, 7d or 2w.')
}

const UNIT_MS: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 }

/** True for sessions of the project with this id, or of the folder with this path or below it. */
export function inProject(project: string): (meta: SessionMeta) => boolean {
  const folder = resolve(project)
  return ({ project: id, directory }) => id === project || directory === folder || directory.startsWith(folder.endsWith('/') ? folder : `${folder}/`)
}

/** @throws StorageError NOT_FOUND */
export async function sessionMeta(sessions: Sessions, id: string): Promise<SessionMeta> {
  const { entry } = await sessions.locate(id as SessionId)
  const meta = sessions.index.session(entry.key)
  if (meta === undefined) throw new StorageError('NOT_FOUND', { reason: `there is no session ${JSON.stringify(id)}` })
  return meta
}
