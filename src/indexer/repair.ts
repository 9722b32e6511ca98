/** The comparison of the sink with the ledger for one session, under its claim. */
import type { Engine } from './engine.js'
import type { HeldLease } from './lease.js'
import { deletionRecord, documentIds, pages } from './records.js'
import { entriesOf, PAGE } from './remove.js'
import { writeRecord } from './sending.js'
import type { Claim, LedgerEntry, LedgerRow, WalRecord } from './state/rows.js'
import { compareHeld, heldDocuments } from './verify/held.js'

/** Deletes what no ledger row names, and marks the rows whose documents are missing, of another text or of another write: they are written again once read. */
export async function repairSink(engine: Engine, lease: HeldLease): Promise<void> {
  const { claim } = lease
  const ledger = await engine.state.ledger(claim.key, claim.space)
  const held = await heldDocuments(engine, claim.key)
  const { orphans, differing } = compareHeld(engine.namespace, claim.key, ledger, held)
  // What is to be written again anyway is left alone: a commit that changes nothing would pass for progress of a session whose owners die.
  const differs = [...differing.values()].filter(({ message }) => !isMarked(ledger.get(message)))
  const lost = new Set(differs.map(({ message }) => message))
  if (orphans.length + lost.size === 0) return
  for (const ids of pages(orphans, PAGE)) await writeRecord(engine, lease, deletionRecord(claim, ids, [], engine.clock.now()))
  const entries = entriesOf(ledger).filter(({ message }) => lost.has(message))
  const marked = entries.flatMap(({ message, row }) => (row.state === 'volatile' ? [] : [{ message, row: { ...row, signature: '', textHash: '' } }]))
  for (const page of pages(marked, PAGE)) await engine.state.commit(claim, { ledger: page })
  for (const entry of entries) if (entry.row.state === 'volatile') await writeRecord(engine, lease, cleared(engine, claim, entry))
  const documents = orphans.length + differs.length
  await engine.state.note({ kind: 'count', name: 'repairs', by: documents })
  engine.progress({ kind: 'repaired', key: claim.key, documents })
}

function isMarked(row: LedgerRow | undefined): boolean {
  return row?.textHash === '' && row.state !== 'volatile'
}

/** While a message is still written nobody can write its older text again; what is left of it goes. */
function cleared({ namespace, clock }: Engine, claim: Claim, { message, row }: LedgerEntry): WalRecord {
  const ids = documentIds(namespace, claim.key, message, row.chunks.length)
  return { ...deletionRecord(claim, ids, [], clock.now()), ledger: [{ message, row: { ...row, textHash: '', chunks: [] } }] }
}
