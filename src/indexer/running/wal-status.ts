/** The write-ahead records that wait for the sink. */
import type { Clock } from '../../core/clock.js'
import type { WalStatus } from '../indexer-types.js'
import type { IndexStore } from '../state/state.js'

export async function walStatusOf(state: IndexStore, clock: Clock): Promise<WalStatus> {
  const { records, bytes, oldestAgeMs } = (await state.status()).wal
  const now = clock.now()
  const sessions = (await state.pending()).map(({ key, documents, bytes: size, createdAt }) => ({
    key,
    documents,
    bytes: size,
    ageMs: Math.max(0, now - createdAt),
  }))
  return { records, bytes, oldestAgeMs, sessions }
}
