/** spanleaf spans: the leaves of a session as bytes, none parsed. */
import { createHash } from 'node:crypto'
import type { Command } from 'commander'
import { type EntityKey, type Leaf, type LeafKind, planSessionTree, resolveSessionTree, type SpanSource, unwrap } from '../index.js'
import { type CommonOptions, command, withCatalog, withSession } from './command.js'
import { issueLine, print, printJson, warn } from './output.js'
import { idOf } from './plan.js'

export function spansCommand(signal: AbortSignal): Command {
  return withCatalog(command('spans'))
    .argument('<id>', 'the id of the session')
    .action((id: string, options: CommonOptions) => spans(id, options, signal))
}

async function spans(id: string, options: CommonOptions, signal: AbortSignal): Promise<void> {
  await withSession(id, options, signal, async (sessions, meta) => {
    const plan = unwrap(await planSessionTree(sessions, { session: meta.key, signal }))
    const refs = unwrap(await resolveSessionTree(sessions, plan, { signal }))
    try {
      await printLeaf('session', refs.key, refs.session.leaf, options)
      for (const message of refs.messages) {
        await printLeaf('message', message.key, message.leaf, options)
        for (const part of message.parts) await printLeaf('part', part.key, part.leaf, options)
      }
    } finally {
      refs[Symbol.dispose]()
    }
  })
}

async function printLeaf(kind: LeafKind, key: EntityKey, { span, issue }: Leaf, { json }: CommonOptions): Promise<void> {
  if (span === undefined) {
    warn(`${kind} ${idOf(key)}: ${issueLine(issue)}`)
    return
  }
  const sha256 = createHash('sha256').update(span.bytes()).digest('hex')
  const { length: bytes, source, mapped } = span
  if (json) await printJson({ agent: key.agent, session: key.session, kind, id: idOf(key), bytes, sha256, source, mapped })
  else await print(`${kind.padEnd(8)} ${String(bytes).padStart(9)} B  ${sha256.slice(0, 16)}  ${idOf(key)}${lineText(source)}`)
}

function lineText({ line, offset }: SpanSource): string {
  return line === undefined ? '' : `  line ${line}, byte ${offset}`
}
