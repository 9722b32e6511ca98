/**
 * Plans of sessions that are read one after the other. While one is at work here, a worker plans the next, as long as they go by quickly:
 * whoever takes his time over a session gets the next one as it is at its turn.
 */
import type { SessionKey } from '../core/keys.js'
import type { StageResult } from '../core/stage.js'
import type { Store } from '../storage/store.js'
import type { Sessions } from './sessions/sessions.js'
import type { SessionTreePlan } from './types.js'

/** A plan is taken for so many milliseconds after it was begun; with a longer time between two sessions none is begun. */
const FRESH_MS = 20

interface Planned {
  readonly store: Store
  readonly plan: StageResult<SessionTreePlan>
}

interface Begun {
  readonly place: number
  /** Monotonic milliseconds. */
  readonly at: number
  /** Undefined for what failed: it is planned once more at its turn. */
  readonly result: Promise<Planned | undefined>
}

export class PlansAhead {
  readonly #sessions: Pick<Sessions, 'clock' | 'locate' | 'stores'>
  readonly #keys: readonly SessionKey[]
  readonly #plan: (session: SessionKey) => Promise<StageResult<SessionTreePlan>>
  #begun: Begun | undefined
  /** When the last one was taken, monotonic milliseconds. */
  #taken = Number.NEGATIVE_INFINITY

  constructor(
    sessions: Pick<Sessions, 'clock' | 'locate' | 'stores'>,
    keys: readonly SessionKey[],
    plan: (session: SessionKey) => Promise<StageResult<SessionTreePlan>>,
  ) {
    this.#sessions = sessions
    this.#keys = keys
    this.#plan = plan
  }

  /** The plan of the session in this place. @throws what planning throws */
  async take(place: number): Promise<StageResult<SessionTreePlan>> {
    const key = this.#keys[place] as SessionKey
    const now = this.#sessions.clock.monotonic()
    const isQuick = now - this.#taken <= FRESH_MS
    const begun = this.#begun?.place === place && now - this.#begun.at <= FRESH_MS ? this.#begun : undefined
    this.#taken = now
    const own = begun === undefined ? this.#plan(key) : this.#asBegun(begun, key)
    this.#begun = isQuick ? this.#begin(place + 1, now) : undefined
    return own
  }

  async #asBegun({ result }: Begun, key: SessionKey): Promise<StageResult<SessionTreePlan>> {
    const planned = await result
    const isThere = planned !== undefined && planned.store === (await this.#sessions.locate(key)).store
    return isThere ? planned.plan : this.#plan(key)
  }

  #begin(place: number, at: number): Begun | undefined {
    const key = this.#keys[place]
    if (key === undefined || !this.#sessions.stores.some(({ ahead }) => ahead)) return undefined
    return { place, at, result: this.#ahead(key).catch(() => undefined) }
  }

  async #ahead(key: SessionKey): Promise<Planned | undefined> {
    const { store } = await this.#sessions.locate(key)
    const plan = store.ahead === true ? await this.#plan(key) : undefined
    return plan === undefined || plan.status === 'failed' ? undefined : { store, plan }
  }
}
