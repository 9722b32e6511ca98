/** Cost and tokens of a session whose record has none: added up from its assistant messages. */

import type { SessionKey } from '../core/keys.js'
import type { Tokens } from '../core/parts.js'
import { unwrap } from '../core/stage.js'
import { hydrateSessionTree } from './hydrate.js'
import { planTree } from './plan.js'
import { resolveSessionTree } from './resolve.js'
import type { Sessions } from './sessions.js'
import type { Usage } from './types.js'

/** Opens every message of the session and no part. */
export async function addUpUsage(sessions: Sessions, session: SessionKey): Promise<Usage> {
  const plan = unwrap(await planTree(sessions, { session }, false))
  const withoutParts = { ...plan, messages: plan.messages.map((message) => ({ ...message, parts: [] })) }
  using refs = unwrap(await resolveSessionTree(sessions, withoutParts))
  let cost = 0
  const sum = { input: 0, output: 0, reasoning: 0, read: 0, write: 0 }
  for (const { message } of unwrap(hydrateSessionTree(refs)).messages) {
    if (message?.role !== 'assistant') continue
    cost += message.cost ?? 0
    const tokens: Partial<Tokens> = message.tokens ?? {}
    sum.input += tokens.input ?? 0
    sum.output += tokens.output ?? 0
    sum.reasoning += tokens.reasoning ?? 0
    sum.read += tokens.cache?.read ?? 0
    sum.write += tokens.cache?.write ?? 0
  }
  const { input, output, reasoning, read, write } = sum
  return { cost, tokens: { input, output, reasoning, cache: { read, write } } }
}
