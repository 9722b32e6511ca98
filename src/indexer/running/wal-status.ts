/** The write-ahead records that wait for the sink. */
import type { Clock } from '../../core/clock.js'
import type { WalStatus } from '../indexer-types.js'
import type { IndexStore } from '../state/state.js'

export function walStatusOf(state: IndexStore, clock: Clock): WalStatus {
  const { records, bytes, oldestAgeMs } = state.status().wal
  const now = clock.now()
  const sessions = state.pending().map(({ key, documents, bytes: size, createdAt }) => ({
    key,
    documents,
    bytes: size,
    ageMs: Math.max(0, now - createdAt),
  }))
  return { records, bytes, oldestAgeMs, sessions }
}
