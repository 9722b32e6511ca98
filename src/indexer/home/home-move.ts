/**
 * Bringing the documents of an index from one sink to another: every session compares the new sink with its ledger and writes what is missing,
 * from the cache where it can. What the old one holds is deleted at a later opening, once nothing is pending any more.
 */
import { StorageError } from '../../core/errors.js'
import type { Sink } from '../ports.js'
import type { LocalIndexStore } from '../state/state.js'
import { changeHomeRecord, type HomeRecord, type SinkPlace } from './home-record.js'
import { describePlace, emptySink, openSinkAt, type SinkChoice } from './home-sinks.js'

export interface Move {
  readonly id: string
  readonly space: string
  readonly place: SinkPlace
  readonly from: SinkPlace
  readonly sink: Sink
  readonly state: LocalIndexStore
  readonly directory: string
  readonly namespace: string
  readonly warn: (sentence: string) => void
}

/** @throws StorageError STATE_UNAVAILABLE while another process works on the index: it would go on writing to the old sink */
export async function moveDocuments({ id, space, place, from, sink, state, directory, namespace, warn }: Move): Promise<void> {
  const { running, leases } = state.status()
  const busy = running[0]?.pid ?? leases.find(({ expiresInMs, abandoned }) => expiresInMs > 0 && !abandoned)?.pid
  if (busy !== undefined) {
    throw new StorageError('STATE_UNAVAILABLE', {
      reason: `process ${busy} is indexing into ${describePlace(from)}`,
      advice: `Stop it before the documents are brought to ${describePlace(place)}.`,
    })
  }
  warn(`the documents are brought from ${describePlace(from)} to ${describePlace(place)}; what the cache holds is not embedded again`)
  // Another address may be another name of the same server: then what is there already is right.
  const isOtherKind = from.kind !== place.kind
  if (isOtherKind) await emptySink(sink, namespace, { keepIt: true })
  await state.verify()
  changeHomeRecord(directory, (now) => ({
    ...now,
    sinks: { ...now.sinks, [id]: place },
    left: [...now.left.filter((one) => !isOf(one, space, place)), ...(isOtherKind ? [{ space, place: from }] : [])],
  }))
}

/** @throws StorageError SINK_MISMATCH */
export function refuseMove(from: SinkPlace, place: SinkPlace): never {
  throw new StorageError('SINK_MISMATCH', {
    reason: `the index keeps its documents in ${describePlace(from)}; \`spanleaf index\` brings them to ${describePlace(place)}`,
  })
}

/** Sinks that documents were brought away from, once all of them are elsewhere. One that cannot be reached is tried again at the next opening. */
export async function emptyLeftSinks(
  state: LocalIndexStore,
  choice: SinkChoice & { readonly namespace: string; readonly warn: (sentence: string) => void },
): Promise<void> {
  if (choice.record.left.length === 0) return
  const { queue, toRebuild } = state.status()
  if (queue.ready + queue.leased + queue.backoff + toRebuild > 0) return
  for (const { space, place } of choice.record.left) {
    try {
      await using sink = await openSinkAt(place, space, choice)
      await emptySink(sink, choice.namespace)
    } catch (error) {
      if (!(error instanceof StorageError)) throw error
      choice.warn(`${describePlace(place)} still holds documents of this index: ${error.reason}`)
      continue
    }
    changeHomeRecord(choice.directory, (now) => ({ ...now, left: now.left.filter((one) => !isOf(one, space, place)) }))
  }
}

/** On one server each space has a collection of its own. */
function isOf(left: HomeRecord['left'][number], space: string, place: SinkPlace): boolean {
  return left.space === space && describePlace(left.place) === describePlace(place)
}
