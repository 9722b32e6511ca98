/** Cost and tokens of a session whose record has none: added up from its assistant messages. */

import { type Document, isDocument } from '../core/documents.js'
import { FORMATS } from '../core/formats.js'
import type { SessionKey } from '../core/keys.js'
import { unwrap } from '../core/stage.js'
import { hydrateSessionTree } from './hydrate.js'
import { planTree } from './plan.js'
import { resolveSessionTree } from './resolve.js'
import type { Sessions } from './sessions/sessions.js'
import type { Usage } from './types.js'

/** Opens every message of the session and no part; of a log all lines, since usage may stand on any of a message. */
export async function addUpUsage(sessions: Sessions, session: SessionKey): Promise<Usage> {
  const plan = unwrap(await planTree(sessions, { session }, false))
  const isLog = FORMATS[plan.format].assemble !== undefined
  const needed = isLog ? plan : { ...plan, messages: plan.messages.map((message) => ({ ...message, parts: [] })) }
  using refs = unwrap(await resolveSessionTree(sessions, needed))
  let cost = 0
  const sum = { input: 0, output: 0, reasoning: 0, read: 0, write: 0 }
  for (const { message } of unwrap(hydrateSessionTree(refs)).messages) {
    if (message?.role !== 'assistant') continue
    const { cost: step, tokens } = usageIn(message)
    cost += step
    sum.input += tokens.input
    sum.output += tokens.output
    sum.reasoning += tokens.reasoning
    sum.read += tokens.cache.read
    sum.write += tokens.cache.write
  }
  const { input, output, reasoning, read, write } = sum
  return { cost, tokens: { input, output, reasoning, cache: { read, write } } }
}

/** Cost and tokens that a record names, as numbers; what is missing or no number counts 0. */
export function usageIn(record: { readonly cost?: unknown; readonly tokens?: unknown }): Usage {
  const tokens: Document = isDocument(record.tokens) ? record.tokens : {}
  const cache: Document = isDocument(tokens.cache) ? tokens.cache : {}
  const { input, output, reasoning } = tokens
  return {
    cost: count(record.cost),
    tokens: {
      input: count(input),
      output: count(output),
      reasoning: count(reasoning),
      cache: { read: count(cache.read), write: count(cache.write) },
    },
  }
}

function count(value: unknown): number {
  return Number.isFinite(value) ? (value as number) : 0
}
