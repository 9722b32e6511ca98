/** The comparison of the sink with the ledger for one session, under its claim. */
import type { Engine } from './engine.js'
import { compareHeld, heldDocuments } from './held.js'
import type { HeldLease } from './lease.js'
import { deletionRecord, pages } from './records.js'
import { entriesOf, PAGE } from './remove.js'
import { writeRecord } from './sending.js'

/** Deletes what no ledger row names, and marks the rows whose documents are missing, of another text or of another write: they are written again once read. */
export async function repairSink(engine: Engine, lease: HeldLease): Promise<void> {
  const { claim } = lease
  const ledger = engine.state.ledger(claim.key, claim.space)
  const held = await heldDocuments(engine, claim.key)
  const { orphans, differing } = compareHeld(engine.namespace, claim.key, ledger, held)
  // What is to be written again anyway is left alone: a commit that changes nothing would pass for progress of a session whose owners die.
  const differs = [...differing.values()].filter(({ message }) => ledger.get(message)?.signature !== '')
  const lost = new Set(differs.map(({ message }) => message))
  if (orphans.length + lost.size === 0) return
  for (const ids of pages(orphans, PAGE)) await writeRecord(engine, lease, deletionRecord(claim, ids, [], engine.clock.now()))
  const marked = entriesOf(ledger).flatMap(({ message, row }) =>
    lost.has(message) ? [{ message, row: { ...row, signature: '', textHash: '' } }] : [],
  )
  for (const page of pages(marked, PAGE)) await engine.state.commit(claim, { ledger: page })
  const documents = orphans.length + differs.length
  await engine.state.note({ kind: 'count', name: 'repairs', by: documents })
  engine.progress({ kind: 'repaired', key: claim.key, documents })
}
