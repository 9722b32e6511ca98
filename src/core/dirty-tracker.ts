/**
 * What is known to have been written to, and when, in ticks of a counter that only goes up: a tick is never told twice, so what was read
 * before a path became dirty is told from what was read after, however often it was written to in between.
 */

export interface GenerationClock {
  /** The tick that was given last; 0 before the first. */
  readonly now: number
  /** A tick after all that were given. */
  tick(): number
}

export interface DirtyTracker {
  readonly clock: GenerationClock
  /** Something at this path, or below it, was written to. Gives the tick at which that became known. */
  mark(path: string): number
  /** The paths that were marked after a tick, the one marked first first. */
  since(tick: number): readonly string[]
  /** When the path, or a folder that it is in, was last marked; 0 for never. */
  tickOf(path: string): number
}

/** Paths that are remembered one by one; above that the ones marked first are remembered as their folders. */
const MOST_PATHS = 20_000

export function createGenerationClock(): GenerationClock {
  let now = 0
  return {
    get now() {
      return now
    },
    tick: () => ++now,
  }
}

export function createDirtyTracker(clock: GenerationClock = createGenerationClock(), mostPaths = MOST_PATHS): DirtyTracker {
  /** In the order of their ticks. */
  const ticks = new Map<string, number>()
  const put = (path: string, tick: number): void => {
    ticks.delete(path)
    ticks.set(path, tick)
  }
  return {
    clock,
    mark(path) {
      const tick = clock.tick()
      put(path, tick)
      if (ticks.size > mostPaths) coarsen(ticks, tick, put)
      return tick
    },
    since(tick) {
      const found: string[] = []
      for (const [path, at] of ticks) if (at > tick) found.push(path)
      return found
    },
    tickOf(path) {
      let latest = 0
      for (let at: string | undefined = path; at !== undefined; at = folderOf(at)) latest = Math.max(latest, ticks.get(at) ?? 0)
      return latest
    },
  }
}

/** The older half gives way to its folders, dirty from now on: that is more than was written to, never less. */
function coarsen(ticks: Map<string, number>, tick: number, put: (path: string, tick: number) => void): void {
  const older = [...ticks.keys()].slice(0, Math.ceil(ticks.size / 2))
  const folders = new Set(older.map((path) => folderOf(path) ?? path))
  for (const path of older) ticks.delete(path)
  for (const folder of folders) put(folder, tick)
}

/** Undefined above the root of a path, be it that of a file system or a name without folders. */
function folderOf(path: string): string | undefined {
  const end = Math.max(path.lastIndexOf('/'), path.lastIndexOf('\\'))
  if (end < 0 || path.length === 1) return undefined
  return end === 0 ? path[0] : path.slice(0, end)
}
