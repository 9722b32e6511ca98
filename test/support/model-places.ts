/** Where the state of a model machine is kept, with a view of its rows that no caller of the port has. */
import { memoryState, memoryStatePlace } from '../../src/indexer/memory-state.js'
import type { ModelPlace, RowsView } from './model-host.js'

export function memoryPlace(): ModelPlace {
  const place = memoryStatePlace()
  return {
    name: 'memory',
    open: async (settings) => memoryState({ place, ...settings }),
    rows(): RowsView {
      const { sessions, wal } = place.rows
      return {
        sessions: [...sessions.values()].map(({ key, q, lease, wal }) => ({
          session: key.session,
          queued: q !== null,
          leased: lease !== null,
          wal: wal?.seq,
        })),
        records: [...wal.keys()],
        torn: [],
      }
    },
    [Symbol.asyncDispose]: async () => {},
  }
}
