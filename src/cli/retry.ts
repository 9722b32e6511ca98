/** spanleaf retry: tries again what was put aside, lists it, or gives it up. */
import type { Command } from 'commander'
import { StorageError } from '../index.js'
import { type DeadLetter, hasIndex, indexFolder, openLmdbState } from '../indexer/index.js'
import { clip } from './columns.js'
import { command, homeOf, withSessions } from './command.js'
import { openHome } from './home.js'
import { ago, count, print, printJson, warn } from './output.js'
import { printRun, runIndex } from './run-index.js'
import { type ServiceOptions, withServices } from './services.js'

interface RetryOptions extends ServiceOptions {
  readonly list?: boolean
  readonly drop?: boolean
}

export function retryCommand(signal: AbortSignal): Command {
  const made = command('retry', { narrows: false })
    .argument('[id...]', 'only these (the ids that --list shows)')
    .option('--list', 'only list what was put aside')
    .option('--drop', 'give it up instead; a text comes back when its message changes')
  return withServices(made).action((ids: readonly string[], options: RetryOptions) => retry(ids, options, signal))
}

async function retry(ids: readonly string[], options: RetryOptions, signal: AbortSignal): Promise<void> {
  const folder = homeOf(options)
  if (options.list && (options.drop || ids.length > 0)) throw new StorageError('INVALID_OPTION', { reason: '--list takes neither ids nor --drop' })
  const letters = hasIndex(folder) ? await lettersOf(folder) : []
  const strangers = ids.filter((id) => !letters.some((letter) => letter.id === id))
  if (strangers.length > 0)
    throw new StorageError('NOT_FOUND', {
      reason: `nothing was put aside under ${strangers.join(', ')}`,
      advice: '`spanleaf retry --list` shows the ids.',
    })
  if (options.list || letters.length === 0) await printLetters(letters, options)
  else if (options.drop) await drop(folder, ids, options)
  else await again(ids, options, signal)
}

async function lettersOf(folder: string): Promise<readonly DeadLetter[]> {
  await using state = await openLmdbState({ directory: indexFolder(folder) })
  return state.deadLetters()
}

async function printLetters(letters: readonly DeadLetter[], { json }: RetryOptions): Promise<void> {
  if (letters.length === 0 && !json) await print('Nothing was put aside.')
  const now = Date.now()
  for (const { id, kind, key, message, chunk, code, reason, at } of letters) {
    if (json) await printJson({ id, kind, agent: key.agent, session: key.session, message: message ?? null, chunk: chunk ?? null, code, reason, at })
    else
      await print(
        `${id}  ${[key.session, message, chunk === undefined ? undefined : `chunk ${chunk}`].filter(Boolean).join(' ')}  ${code}: ${clip(reason)}, ${ago(at, now)}`,
      )
  }
}

async function drop(folder: string, ids: readonly string[], { json }: RetryOptions): Promise<void> {
  await using state = await openLmdbState({ directory: indexFolder(folder) })
  const dropped = await state.dropDead(ids.length === 0 ? undefined : ids)
  if (json) await printJson({ dropped })
  else await print(`${count(dropped, 'text or record', 'texts or records')} given up.`)
}

async function again(ids: readonly string[], options: RetryOptions, signal: AbortSignal): Promise<void> {
  await withSessions(options, signal, async (sessions) => {
    await using home = await openHome(options, { sessions, signal })
    const retried = await home.state.retryDead(ids.length === 0 ? undefined : ids)
    const asked = ids.length === 0 ? home.state.deadLetters().length + retried : ids.length
    if (retried < asked) warn(`${count(asked - retried, 'record')} cannot be read by this spanleaf and stays aside`)
    await printRun(home, await runIndex(sessions, home, signal), options)
    signal.throwIfAborted()
  })
}
