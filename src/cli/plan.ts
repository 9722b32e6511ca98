/** spanleaf plan: what reading a session would cost. */
import type { Command } from 'commander'
import { type EntityKey, planReads, planSessionTree, type Read, unwrap } from '../index.js'
import { type CommonOptions, command, wholeNumber, withCatalog, withSession } from './command.js'
import { count, formatBytes, print, printJson } from './output.js'

interface PlanOptions extends CommonOptions {
  readonly last?: number
}

export function planCommand(signal: AbortSignal): Command {
  return withCatalog(command('plan'))
    .argument('<id>', 'the id of the session')
    .option('--last <n>', 'only for its last messages', wholeNumber)
    .action((id: string, options: PlanOptions) => plan(id, options, signal))
}

async function plan(id: string, options: PlanOptions, signal: AbortSignal): Promise<void> {
  await withSession(id, options, signal, async (sessions, meta) => {
    const window = options.last === undefined ? {} : { messages: { last: options.last } }
    const value = unwrap(await planSessionTree(sessions, { session: meta.key, signal, ...window }))
    const { files, rows, bytes } = value
    const reads = planReads(value)
    if (options.json) {
      await printJson({ agent: meta.key.agent, session: meta.id, reads: reads.map(readJson), files, rows, bytes })
      return
    }
    for (const read of reads) await print(`${read.kind.padEnd(8)} ${String(read.price?.bytes ?? 0).padStart(9)} B  ${idOf(read.key)}`)
    const place = files > 0 ? count(files, 'file') : count(rows, 'row')
    await print(`${count(reads.length, 'read')}: ${place}, ${formatBytes(bytes)}`)
  })
}

function readJson({ kind, key, price }: Read): object {
  return { kind, id: idOf(key), bytes: price?.bytes ?? 0, generation: price?.generation ?? null }
}

export function idOf(key: EntityKey): string {
  return key.kind === 'part' ? key.part : key.kind === 'message' ? key.message : key.session
}
