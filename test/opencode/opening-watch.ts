/** Opens a data folder again and again while OpenCode makes or upgrades its store: what is there is listed, and no haste is taken for damage. */
import { openSessions, StorageError } from '../../src/index.js'

export interface OpeningWatch {
  readonly opened: number
  /** How often the store told that it was not there or not ready yet. */
  readonly early: number
  /** In words; empty when all was well. */
  readonly wrong: readonly string[]
}

/** `ids`: the sessions that every listing must hold exactly once. */
export async function watchOpening(data: string, ids: readonly string[], work: Promise<unknown>): Promise<OpeningWatch> {
  const wrong: string[] = []
  let opened = 0
  let early = 0
  let working = true
  const stop = (): void => {
    working = false
  }
  const end = work.then(stop, stop)
  while (working) {
    const problem = await openOnce(data, ids).catch((error: unknown) => {
      if (!(error instanceof StorageError)) return `not a StorageError: ${String(error)}`
      early++
      return error.retryable || (error.code === 'STORE_MISSING' && ids.length === 0) ? undefined : `${error.code}: ${error.message}`
    })
    opened++
    if (problem !== undefined) wrong.push(problem)
    await new Promise((resolve) => setImmediate(resolve))
  }
  await end
  await work
  return { opened, early, wrong }
}

async function openOnce(data: string, ids: readonly string[]): Promise<string | undefined> {
  await using sessions = await openSessions({ data })
  const damage = sessions.issues.find(({ transient }) => transient !== true)
  if (damage !== undefined) return `${damage.code}: ${damage.reason}`
  const listed = sessions.index.sessionsByTime().map(({ id }): string => id)
  const missing = ids.filter((id) => listed.filter((other) => other === id).length !== 1)
  return missing.length === 0 ? undefined : `${missing.length} of ${ids.length} sessions are not listed once`
}
