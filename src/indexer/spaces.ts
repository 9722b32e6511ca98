/** The vector spaces of an index: which one is worked in, when the one that was built takes over, and how the old one is emptied. */
import { StorageError } from '../core/errors.js'
import type { Engine } from './engine.js'
import { failureOf, outside } from './faults.js'
import type { Sink } from './ports.js'
import { documentIds, pages } from './records.js'
import { PAGE } from './remove.js'
import type { SpaceRow } from './state/rows.js'

/** Vectors of two spaces are never mixed, neither in the state nor in the sink. @throws StorageError SINK_MISMATCH, INVALID_OPTION */
export async function bindSpace({ state, embedder, sink, namespace, progress }: Omit<Engine, 'stopping'>, rebuild: boolean): Promise<void> {
  const { space } = embedder
  if (sink.space !== undefined && sink.space !== space) {
    throw new StorageError('SINK_MISMATCH', { reason: `the sink holds vectors of the embedder "${sink.space}", not of "${space}"` })
  }
  const row = await state.bind({ space, namespace }, { rebuild })
  if (row.state === 'building') progress({ kind: 'space', space: row })
}

/** Once nothing runs: makes the space that was built the live one when no session lacks it any more, and empties those that retire. */
export async function settleSpaces(engine: Engine): Promise<void> {
  const { state, progress } = engine
  if ((await state.spaces()).some((row) => row.state === 'building')) {
    const live = await state.cutOver()
    if (live !== undefined) progress({ kind: 'space', space: live })
  }
  for (const row of await state.spaces()) {
    const sink = engine.former.find(({ space }) => space === row.space)
    if (row.state !== 'retiring' || sink === undefined || engine.stopping.aborted) continue
    try {
      await retire(engine, row, sink)
    } catch (error) {
      // Searches do not touch it; the next drain goes on.
      progress({ kind: 'error', during: 'retiring', failure: failureOf(error), error })
    }
  }
}

/**
 * Page by page, so that a crash repeats one page at most: the documents go first, then their rows. The last rows stay until the collection
 * is gone, so that a crash before leaves somebody to drop it.
 */
async function retire(engine: Engine, { id }: SpaceRow, sink: Sink): Promise<void> {
  const { state, namespace, stopping } = engine
  while (!stopping.aborted) {
    const rows = await state.retiring(id, PAGE)
    const ids = rows.flatMap(({ key, message, row }) => documentIds(namespace, key, message, row.chunks.length))
    await deleteAll(engine, sink, ids)
    const last = rows.length < PAGE
    // Somebody may want it again, and then it has no rows that retire.
    if (!(await state.spaces()).some((row) => row.id === id && row.state === 'retiring')) return
    if (last) await dropEmptied(engine, sink)
    await state.retire(id, rows)
    if (last) return
  }
}

/** Documents of this namespace that no row names go too; what others keep in the collection stays. */
async function dropEmptied(engine: Engine, sink: Sink): Promise<void> {
  const left: string[] = []
  await outside('SINK_FAILED', async () => {
    if ((await sink.count()) === 0) return
    for await (const { id } of sink.ids()) if (id.startsWith(`${engine.namespace}~`)) left.push(id)
  })
  await deleteAll(engine, sink, left)
  await outside('SINK_FAILED', async () => {
    if ((await sink.count()) === 0) await sink.drop?.()
  })
}

async function deleteAll({ limits }: Engine, sink: Sink, ids: readonly string[]): Promise<void> {
  for (const page of pages(ids, limits.sinkBatchSize)) await outside('SINK_FAILED', () => sink.delete(page))
}
