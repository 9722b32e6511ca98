/** What a session needs: the difference between what it holds now and what the ledger says the sink holds. Pure. */
import { compareText, idTime, type MessageId } from '../core/ids.js'
import type { MessageNode, SessionMeta } from '../tree/types.js'
import { documentMeta } from './engine.js'
import type { ProjectedMessage } from './ports.js'
import { type SettleOptions, settlement } from './settled.js'
import type { SessionTail } from './source.js'
import type { LedgerEntry, LedgerRow } from './state/rows.js'
import { MAX_ID_BYTES } from './state/state.js'

/** A message whose documents are to be written; without chunks, those that exist are to be deleted. */
export interface Upsert {
  readonly node: MessageNode
  readonly projected: ProjectedMessage
  /** Chunks that the sink may hold now. */
  readonly oldChunks: number
  /** When this version of the message was first seen, epoch milliseconds. */
  readonly seen: number
  readonly partial: boolean
  /** See `documentMeta`. */
  readonly meta: string
}

export interface Work {
  readonly upserts: readonly Upsert[]
  /** Rows that change without a word to the sink. */
  readonly notes: readonly LedgerEntry[]
  readonly removed: readonly LedgerEntry[]
  /** Messages that are still being written. */
  readonly volatile: number
  /** Messages whose ids do not fit the keys of the index. */
  readonly leftOut: number
  /** The quantum ended before the messages did. */
  readonly more: boolean
}

export interface DiffInput {
  readonly ledger: ReadonlyMap<MessageId, LedgerRow>
  readonly tail: SessionTail
  /** Names what each document carries of its session. */
  readonly meta: string
  readonly now: number
  readonly quantum: number
  /** From a message to the text that is embedded. */
  readonly project: (node: MessageNode) => Promise<ProjectedMessage>
  readonly signal?: AbortSignal | undefined
}

/** What `project` throws ends it: a message whose text cannot be made is never taken for one without text. */
export async function diffSession(input: DiffInput, options: SettleOptions): Promise<Work> {
  const { ledger, tail } = input
  const visible = visibleMessages(tail)
  const removed = removedMessages(tail, ledger)
  const found = { upserts: [] as Upsert[], notes: [] as LedgerEntry[], volatile: 0, leftOut: 0 }
  let more = false
  for (const node of tail.messages) {
    const message = node.key.message
    if (!visible.has(message)) continue
    if (Buffer.byteLength(message) > MAX_ID_BYTES) found.leftOut++
    else if (found.upserts.length >= input.quantum) more = true
    else {
      input.signal?.throwIfAborted()
      await place(node, input, options, found)
    }
  }
  return { ...found, removed, more }
}

/** The rows of what the session does not show any more. */
export function removedMessages(tail: SessionTail, ledger: ReadonlyMap<MessageId, LedgerRow>): LedgerEntry[] {
  const visible = visibleMessages(tail)
  const present = new Set(tail.present)
  const removed: LedgerEntry[] = []
  for (const [message, row] of ledger) {
    // Absence proves something in a complete reading only; what is present and hidden was read.
    if (!visible.has(message) && (tail.complete || present.has(message))) removed.push({ message, row })
  }
  return removed
}

/** While `revert` is set, the messages from that one on are hidden. */
export function visibleMessages({ meta, present }: SessionTail): Set<MessageId> {
  const from = revertIndex(meta, present)
  return new Set(from === -1 ? present : present.slice(0, from))
}

/** When the message itself is gone, those made after it are hidden, by the time in their ids; without one, nothing is. */
function revertIndex({ revert, created, updated }: SessionMeta, present: readonly MessageId[]): number {
  if (revert === undefined) return -1
  const index = present.indexOf(revert)
  if (index !== -1) return index
  // Ids wrap, so their order as text says nothing across a wrap; inside one millisecond it does.
  const near = updated || created
  const from = idTime(revert, near)
  if (from === undefined) return -1
  return present.findIndex((id) => {
    const time = idTime(id, near)
    return time !== undefined && (time > from || (time === from && compareText(id, revert) > 0))
  })
}

async function place(
  node: MessageNode,
  input: DiffInput,
  options: SettleOptions,
  found: { upserts: Upsert[]; notes: LedgerEntry[]; volatile: number },
): Promise<void> {
  const { ledger, tail, now } = input
  const meta = documentMeta(input.meta, node, tail.meta)
  const message = node.key.message
  const old = ledger.get(message)
  const signature = node.signature ?? ''
  // Seen in the future: the clock was set back since, and quiet begins anew.
  const seen = old?.signature === signature && old.at <= now ? old.at : now
  const around = { later: message !== tail.present.at(-1), now, seen, sessionUpdated: tail.meta.updated }
  const verdict = settlement(node, around, options)
  if (verdict === 'volatile') {
    found.volatile++
    const held = { textHash: old?.textHash ?? '', chunks: old?.chunks ?? [], meta: old?.meta ?? '' }
    note(found.notes, message, old, { signature, ...held, state: 'volatile', at: seen, rev: old?.rev ?? 0, ...lossOf(old) })
    return
  }
  const projected = await input.project(node)
  const partial = verdict === 'partial'
  const same = old?.textHash === projected.textHash && old.meta === meta && old.chunks.length > 0
  const oldChunks = old?.chunks.length ?? 0
  const rewritten = projected.chunks.length > 0 ? !same : oldChunks > 0
  if (rewritten) found.upserts.push({ node, projected, oldChunks, seen, partial, meta })
  else note(found.notes, message, old, rowOf({ node, projected, partial, meta }, { chunks: old?.chunks ?? [], at: seen, rev: old?.rev ?? 0 }))
}

/** The ledger row of a message whose documents the sink holds, but for chunks that were put aside. */
export function rowOf(
  { node, projected, partial, meta }: Omit<Upsert, 'oldChunks' | 'seen'>,
  held: Pick<LedgerRow, 'chunks' | 'at' | 'rev'>,
): LedgerRow {
  const empty = projected.chunks.length === 0
  return {
    signature: node.signature ?? '',
    textHash: empty ? '' : projected.textHash,
    ...held,
    state: empty ? 'empty' : held.chunks.includes('') ? 'quarantined' : 'settled',
    meta,
    ...(partial ? { partial } : {}),
    ...lossOf(projected),
  }
}

/** What the sink does not hold of a message. */
function lossOf(
  of: { readonly truncatedBytes?: number; readonly redacted?: number | undefined } | undefined,
): Pick<LedgerRow, 'truncatedBytes' | 'redacted'> {
  const { truncatedBytes = 0, redacted = 0 } = of ?? {}
  return { ...(truncatedBytes === 0 ? {} : { truncatedBytes }), ...(redacted === 0 ? {} : { redacted }) }
}

function note(notes: LedgerEntry[], message: MessageId, old: LedgerRow | undefined, row: LedgerRow): void {
  const equal =
    old !== undefined &&
    old.signature === row.signature &&
    old.state === row.state &&
    old.meta === row.meta &&
    old.partial === row.partial &&
    old.at === row.at
  if (!equal) notes.push({ message, row })
}
