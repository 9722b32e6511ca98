/** A signal that follows others for a while, and one that many listen to. */

export interface FollowingSignal extends Disposable {
  /** Aborted with the first of its sources, with the same reason; not any more once it is disposed of. */
  readonly signal: AbortSignal
}

/** For sources that live longer than their follower: `AbortSignal.any` leaves a trace on each of them that stays as long as they do. */
export function following(...sources: readonly (AbortSignal | undefined)[]): FollowingSignal {
  const controller = new AbortController()
  const given = sources.filter((source) => source !== undefined)
  const onAbort = (): void => controller.abort(given.find(({ aborted }) => aborted)?.reason)
  if (given.some(({ aborted }) => aborted)) onAbort()
  const listening = given.map((source) => whenAborted(source, onAbort))
  return {
    signal: controller.signal,
    [Symbol.dispose]() {
      for (const one of listening) one[Symbol.dispose]()
    },
  }
}

/** Those of a signal; it has one listener for all of them. */
const LISTENERS = new WeakMap<AbortSignal, Set<{ readonly call: () => void }>>()

/**
 * Calls when the signal is aborted, until it is disposed of; of one that is aborted already never. However many do so, the signal has
 * one listener of ours: Node takes more than ten on a caller's signal for a leak.
 */
export function whenAborted(signal: AbortSignal, call: () => void): Disposable {
  const held = LISTENERS.get(signal)
  const listeners = held ?? new Set()
  const listener = { call }
  listeners.add(listener)
  if (held === undefined) {
    LISTENERS.set(signal, listeners)
    signal.addEventListener('abort', callAll, { once: true })
  }
  return {
    [Symbol.dispose]() {
      if (!listeners.delete(listener) || listeners.size > 0 || LISTENERS.get(signal) !== listeners) return
      LISTENERS.delete(signal)
      signal.removeEventListener('abort', callAll)
    },
  }
}

function callAll(this: AbortSignal): void {
  const listeners = [...(LISTENERS.get(this) ?? [])]
  LISTENERS.delete(this)
  for (const { call } of listeners) call()
}

/** Rejects with the reason of the signal when it is aborted before; what is waited for goes on. */
export async function untilAborted<T>(awaited: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return awaited
  // Nobody else hears of its failure then.
  if (signal.aborted) awaited.catch(() => undefined)
  signal.throwIfAborted()
  const { promise: aborted, reject } = withResolvers()
  using _ = whenAborted(signal, () => reject(signal.reason))
  return await Promise.race([awaited, aborted])
}

function withResolvers(): { readonly promise: Promise<never>; readonly reject: (reason: unknown) => void } {
  let reject: (reason: unknown) => void = () => undefined
  const promise = new Promise<never>((_, refuse) => {
    reject = refuse
  })
  return { promise, reject }
}
