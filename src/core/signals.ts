/** A signal that follows others for a while. */

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
  for (const source of given) source.addEventListener('abort', onAbort, { once: true })
  return {
    signal: controller.signal,
    [Symbol.dispose]() {
      for (const source of given) source.removeEventListener('abort', onAbort)
    },
  }
}

/** Rejects with the reason of the signal when it is aborted before; what is waited for goes on. */
export async function untilAborted<T>(awaited: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return awaited
  // Nobody else hears of its failure then.
  if (signal.aborted) awaited.catch(() => undefined)
  signal.throwIfAborted()
  const { promise: aborted, reject } = withResolvers()
  const onAbort = (): void => reject(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([awaited, aborted])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

function withResolvers(): { readonly promise: Promise<never>; readonly reject: (reason: unknown) => void } {
  let reject: (reason: unknown) => void = () => undefined
  const promise = new Promise<never>((_, refuse) => {
    reject = refuse
  })
  return { promise, reject }
}
