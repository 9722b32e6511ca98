/** One session compared three ways: what it says, what the ledger says, what the sink holds. Reads, and changes nothing. */
import type { MessageId } from '../../core/ids.js'
import { encodeKey, type SessionKey } from '../../core/keys.js'
import type { MessageNode } from '../../tree/types.js'
import { removedMessages, visibleMessages } from '../diff.js'
import { documentMeta, type Engine, metaHashOf } from '../engine.js'
import { settlement } from '../settled.js'
import { HYDRATED, type SessionTail } from '../source.js'
import { isPutAside, type LedgerRow } from '../state/rows.js'
import { MAX_ID_BYTES } from '../state/state.js'
import { compareHeld, heldDocuments } from './held.js'
import type { DifferenceKind, IndexDifference } from './verify.js'

export interface SessionFindings {
  readonly messages: number
  /** The ids that the sink holds of the session. */
  readonly held: readonly string[]
  readonly differences: readonly IndexDifference[]
  readonly unsettled: number
  readonly quarantined: number
  readonly leftOut: number
}

/** all: the session is to be in the index. none: it is gone or excluded, and nothing of it is to be there. */
export type Wanted = 'all' | 'none'

const ATTEMPTS = 3

/** Undefined when the session is worked on, or moves, all the while: nothing can be said of it then. */
export async function inspectSession(
  engine: Engine,
  key: SessionKey,
  wanted: Wanted,
  options: { readonly signal: AbortSignal; readonly store: string | undefined },
): Promise<SessionFindings | undefined> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    options.signal.throwIfAborted()
    const ledger = await engine.state.ledger(key)
    const held = await heldDocuments(engine, key)
    const found = wanted === 'none' ? removal(key, ledger) : await compareSource(engine, key, ledger, options)
    if (found === undefined) return undefined
    const { orphans, differing } = compareHeld(engine.namespace, key, ledger, held)
    const differences = [
      ...found.differences,
      ...[...differing].map(([document, { message, kind }]) => ({ kind, key, message, document })),
      ...orphans.map((document) => ({ kind: 'orphan' as const, key, message: undefined, document })),
    ]
    // Between a write to the sink and its commit the two differ for a moment, but never without a lease.
    const isStill = differences.length === 0 || (!(await isLeased(engine, key)) && isSame(ledger, await engine.state.ledger(key)))
    if (isStill) return { ...found, held: [...held.keys()], differences }
  }
  return undefined
}

type SourceFindings = Omit<SessionFindings, 'held'>

function removal(key: SessionKey, ledger: ReadonlyMap<MessageId, LedgerRow>): SourceFindings {
  const differences = [...ledger.keys()].map((message) => difference('leftover', key, message))
  return { messages: ledger.size, differences, unsettled: 0, quarantined: 0, leftOut: 0 }
}

function difference(kind: DifferenceKind, key: SessionKey, message: MessageId): IndexDifference {
  return { kind, key, message, document: undefined }
}

/** Every message is read and projected, page by page. Undefined when the session cannot be read. */
async function compareSource(
  engine: Engine,
  key: SessionKey,
  ledger: ReadonlyMap<MessageId, LedgerRow>,
  { signal, store }: { readonly signal: AbortSignal; readonly store: string | undefined },
): Promise<SourceFindings | undefined> {
  const bytes = Math.ceil(engine.limits.maxInflightBytes / HYDRATED)
  const differences: IndexDifference[] = []
  const counts = { messages: 0, unsettled: 0, quarantined: 0, leftOut: 0 }
  let after: MessageId | undefined
  do {
    const tail = await readOrNot(() => engine.sessions.tail(key, () => undefined, { signal, store, bytes, after, deep: true }), signal)
    if (tail === undefined) return undefined
    const visible = visibleMessages(tail)
    if (after === undefined) {
      counts.messages = visible.size
      differences.push(...removedMessages(tail, ledger).map(({ message }) => difference('leftover', key, message)))
    }
    for (const node of tail.messages) {
      const { message } = node.key
      if (!visible.has(message)) continue
      if (Buffer.byteLength(message) > MAX_ID_BYTES) {
        counts.leftOut++
        continue
      }
      const verdict = await compareMessage(engine, tail, node, ledger.get(message))
      if (verdict === 'unsettled' || verdict === 'quarantined') counts[verdict]++
      else if (verdict !== 'same') differences.push(difference(verdict, key, message))
    }
    after = tail.more?.after
  } while (after !== undefined)
  return { ...counts, differences }
}

async function readOrNot(read: () => Promise<SessionTail>, signal: AbortSignal): Promise<SessionTail | undefined> {
  try {
    return await read()
  } catch (error) {
    if (signal.aborted) throw error
    return undefined
  }
}

type MessageVerdict = 'same' | 'unsettled' | 'quarantined' | 'unindexed' | 'outdated'

async function compareMessage(engine: Engine, tail: SessionTail, node: MessageNode, row: LedgerRow | undefined): Promise<MessageVerdict> {
  const { clock, limits, project, projectName } = engine
  const now = clock.now()
  const seen = row !== undefined && row.signature === (node.signature ?? '') ? row.at : now
  const around = { later: node.key.message !== tail.present.at(-1), now, seen, sessionUpdated: tail.meta.updated }
  if (settlement(node, around, limits) === 'volatile') return 'unsettled'
  if (row === undefined) return 'unindexed'
  // What ended its processes is not touched again while it is as it was.
  if (isPutAside(row)) return row.signature === (node.signature ?? '') ? 'quarantined' : 'outdated'
  const { chunks, textHash } = await project(node)
  const isCurrent = row.state !== 'volatile' && row.textHash === (chunks.length === 0 ? '' : textHash)
  if (!isCurrent || row.meta !== documentMeta(metaHashOf(tail.meta, projectName), node, tail.meta)) return 'outdated'
  return row.state === 'quarantined' ? 'quarantined' : 'same'
}

async function isLeased({ state }: Engine, key: SessionKey): Promise<boolean> {
  return (await state.status()).leases.some((lease) => encodeKey(lease.key) === encodeKey(key))
}

function isSame(a: ReadonlyMap<MessageId, LedgerRow>, b: ReadonlyMap<MessageId, LedgerRow>): boolean {
  return a.size === b.size && [...a].every(([message, row]) => JSON.stringify(b.get(message)) === JSON.stringify(row))
}
