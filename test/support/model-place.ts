/** The port of a model machine to where its state is kept. */

import type { LocalIndexStore } from '../../src/indexer/state/state.js'
import type { OwnerProbe } from '../../src/tree/catalog/owner.js'
import type { FakeClock } from './index-world.js'

export interface StateSettings {
  readonly clock: FakeClock
  readonly owners: OwnerProbe
  readonly leaseMs: number
  readonly maxDelayMs: number
}

/** Where the state of a machine is kept. */
export interface ModelPlace extends AsyncDisposable {
  readonly name: string
  open(settings: StateSettings): Promise<LocalIndexStore>
  rows(): RowsView
  /** Changes a byte of every pending record. */
  damageRecords(): Promise<void>
}

/** The rows of a state, as far as the invariants speak of them. */
export interface RowsView {
  readonly sessions: readonly { readonly session: string; readonly queued: boolean; readonly leased: boolean; readonly wal: number | undefined }[]
  readonly records: readonly number[]
  /** Indexes that do not agree with the rows. */
  readonly torn: readonly string[]
}
