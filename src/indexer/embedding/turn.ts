/** One at a time: calls of a service wait for their turn, in the order in which they came. */

/** Runs the call once no other one runs. One whose signal is aborted while it waits is not run. */
export type Turn = <T>(call: () => Promise<T>, signal: AbortSignal) => Promise<T>

export function createTurn(): Turn {
  let last: Promise<unknown> = Promise.resolve()
  return async (call, signal) => {
    const before = last
    let end = (): void => undefined
    last = new Promise<void>((resolve) => {
      end = resolve
    }).then(() => before)
    try {
      await orAborted(before, signal)
      return await call()
    } finally {
      end()
    }
  }
}

/** What the promise gives, unless the signal is aborted first. @throws the reason of the signal */
export async function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted()
  let onAbort = (): void => undefined
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
  })
  try {
    return await Promise.race([promise, aborted])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
