/** What the sink holds of a session, and how that differs from what the ledger names. */
import { StorageError } from '../../core/errors.js'
import { isSafeId, type MessageId } from '../../core/ids.js'
import { isAgent, messageKey, type SessionKey } from '../../core/keys.js'
import type { Engine } from '../engine.js'
import { outside } from '../faults.js'
import type { HeldDocument } from '../ports.js'
import type { LedgerRow } from '../state/rows.js'
import { documentId } from '../text/document.js'

/**
 * The documents of one session that this index wrote; another one may keep the same session in the same collection, under its own namespace.
 * A filter that names none would match every document, so it is refused. @throws StorageError INVALID_OPTION
 */
export async function heldDocuments(
  { sink, breakers, namespace }: Pick<Engine, 'sink' | 'breakers' | 'namespace'>,
  { agent, session }: SessionKey,
): Promise<Map<string, HeldDocument>> {
  if (!isAgent(agent) || !isSafeId(session)) throw new StorageError('INVALID_OPTION', { reason: 'this key names no session' })
  return breakers.sink.run(() =>
    outside('SINK_FAILED', async () => {
      const held = new Map<string, HeldDocument>()
      for await (const document of sink.ids({ agent, session })) if (document.id.startsWith(`${namespace}~`)) held.set(document.id, document)
      return held
    }),
  )
}

export interface Differing {
  readonly message: MessageId
  readonly kind: 'missing' | 'stale'
}

export interface HeldComparison {
  readonly orphans: readonly string[]
  /** By document id. */
  readonly differing: ReadonlyMap<string, Differing>
}

/**
 * Of two writes of one text the ledger names the one that counts, since what a document carries beside it may differ.
 * A row that was marked to be written again has lost the name of its text; the write tells.
 */
export function compareHeld(
  namespace: string,
  key: SessionKey,
  ledger: ReadonlyMap<MessageId, LedgerRow>,
  held: ReadonlyMap<string, HeldDocument>,
): HeldComparison {
  const differing = new Map<string, Differing>()
  const expected = new Set<string>()
  for (const [message, { chunks, textHash, rev }] of ledger) {
    for (const [chunk, embedding] of chunks.entries()) {
      if (embedding === '') continue
      const id = documentId(namespace, messageKey(key, message), chunk)
      const document = held.get(id)
      expected.add(id)
      if (document === undefined) differing.set(id, { message, kind: 'missing' })
      else if ((textHash !== '' && document.text_hash !== textHash) || document.rev !== rev) differing.set(id, { message, kind: 'stale' })
    }
  }
  return { orphans: [...held.keys()].filter((id) => !expected.has(id)), differing }
}
