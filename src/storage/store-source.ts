/** The stores of a set, which come and go while it is open. */
import type { StageIssue } from '../core/stage.js'
import type { ReadOptions, Store } from './store.js'

export interface StoreSource extends AsyncDisposable {
  /** In order of discovery. */
  readonly stores: readonly Store[]
  /** Only some of the stores that are found are wanted. @default false */
  readonly narrowed?: boolean
  /** What was found and could not be opened, as of the last look. */
  readonly issues: readonly StageIssue[]
  /** Looks again: a store that appeared is opened, one that was replaced or upgraded is opened anew, one that is gone is let go. */
  refresh(options?: ReadOptions): Promise<void>
  /**
   * Names the stores that a look would find, for a few stats: nothing is opened. Moves when one comes or goes, and when one that is not open was
   * written to.
   */
  found?(): string | Promise<string>
}

/** Stores that stay what they are; disposing the source closes them. */
export function fixedStores(stores: readonly Store[], issues: readonly StageIssue[] = []): StoreSource {
  return {
    stores,
    issues,
    refresh: async () => {},
    [Symbol.asyncDispose]: () => closeAll(stores),
  }
}

/** @throws AggregateError when one does not close; the others are closed all the same */
export async function closeAll(opened: readonly AsyncDisposable[]): Promise<void> {
  const closed = await Promise.allSettled(opened.map((one) => one[Symbol.asyncDispose]()))
  const failures = closed.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []))
  if (failures.length > 0) throw new AggregateError(failures, 'Not every store could be closed.')
}
