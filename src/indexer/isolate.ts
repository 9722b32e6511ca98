/** Work on a session whose owners died: one message at a time, each noted durably before it is touched, so that the next owner knows. */
import type { MessageNode } from '../tree/types.js'
import { documentMeta, type Engine, metaHashOf } from './engine.js'
import type { Page } from './index-session.js'
import type { HeldLease } from './lease.js'
import { deletionRecord, documentIds } from './records.js'
import { writeRecord } from './sending.js'
import { type Claim, ISOLATE_AFTER, type WalRecord } from './state/rows.js'

/** Owners that ended with one message, alone: once may be chance. */
const LETHAL = 2

/** Kills that have nothing to do with the session look the same at first; a commit makes them forgotten. */
export function isIsolated({ crashes, probe }: Claim): boolean {
  return crashes >= ISOLATE_AFTER || probe !== undefined
}

/** The page in steps of one message, or only the one with which the last owner ended; what ended its owners again and again is put aside. */
export async function* oneAtATime(engine: Engine, lease: HeldLease, page: Page): AsyncGenerator<Page> {
  const { tail, ledger } = page
  const { claim } = lease
  const suspect = claim.probe?.message
  yield { ...page, tail: { ...tail, messages: [] } }
  for (const node of tail.messages) {
    const { message } = node.key
    // The probe of another message would make this one forgotten.
    if (suspect !== undefined && message !== suspect) continue
    if (claim.probe !== undefined && claim.probe.crashes >= LETHAL) {
      await writeRecord(engine, lease, putAside(engine, claim, page, node))
      engine.progress({ kind: 'quarantined', key: claim.key, code: 'CRASHED_INDEXER' })
      continue
    }
    await engine.state.probe(claim, message)
    const row = ledger.get(message)
    // What is absent left with the first step.
    yield { ...page, tail: { ...tail, messages: [node] }, ledger: new Map(row && [[message, row]]) }
  }
}

/** What the sink holds of it is older than the message, and goes. */
function putAside({ clock, namespace, projectName }: Engine, claim: Claim, { tail, ledger }: Page, node: MessageNode): WalRecord {
  const { message } = node.key
  const at = clock.now()
  const held = ledger.get(message)?.chunks.length ?? 0
  const meta = documentMeta(metaHashOf(tail.meta, projectName), node, tail.meta)
  const reason = `${LETHAL} processes in a row ended while they worked on this message alone`
  return {
    ...deletionRecord(claim, documentIds(namespace, claim.key, message, held), [], at),
    ledger: [{ message, row: { signature: node.signature ?? '', textHash: '', chunks: [], state: 'quarantined', meta, at, rev: claim.token } }],
    dead: [{ message, chunk: undefined, code: 'CRASHED_INDEXER', reason }],
  }
}
