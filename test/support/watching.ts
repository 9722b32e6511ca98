/** What the tests of watching share: a clock that only a test moves, a watcher that tells what a test says, logs of pi, and a reader of a watch. */
import { appendFileSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import type { Clock } from '../../src/core/clock.js'
import type { FolderEvent, LoadedWatcher, TellEvents } from '../../src/storage/watch/watch.js'
import type { SessionWatch } from '../../src/tree/watch/watch.js'

export interface SteppedClock extends Clock {
  /** How many wait for it. */
  readonly sleepers: number
  /** Moves by so many milliseconds, waking whoever sleeps in their order, and lets each do what it has to do until it sleeps again. */
  advance(ms: number): Promise<void>
}

export function steppedClock(start: number): SteppedClock {
  let now = start
  const sleepers = new Set<{ readonly at: number; wake(): void }>()
  /** Until somebody sleeps, or nobody is left who would. */
  const settled = async (): Promise<void> => {
    for (let turns = 0; turns < 20 || (sleepers.size === 0 && turns < 400); turns++) await turn()
  }
  return {
    get sleepers() {
      return sleepers.size
    },
    now: () => now,
    monotonic: () => now,
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        signal?.throwIfAborted()
        const leave = (how: () => void) => (): void => {
          sleepers.delete(sleeper)
          signal?.removeEventListener('abort', onAbort)
          how()
        }
        const sleeper = { at: now + ms, wake: leave(resolve) }
        const onAbort = leave(() => reject(signal?.reason))
        sleepers.add(sleeper)
        signal?.addEventListener('abort', onAbort, { once: true })
      }),
    async advance(ms) {
      const end = now + ms
      await settled()
      for (;;) {
        const next = [...sleepers].sort((a, b) => a.at - b.at)[0]
        if (next === undefined || next.at > end) break
        now = Math.max(now, next.at)
        next.wake()
        await settled()
      }
      now = end
      await settled()
    },
  }
}

export interface FakeWatcher {
  readonly load: (wanted: string) => Promise<LoadedWatcher>
  /** Folders that are subscribed to. */
  readonly folders: readonly string[]
  /** How often it was asked. */
  readonly asked: number
  /** While set, subscribing fails so, or never ends. */
  refuses: string | 'never' | undefined
  /** Tells whoever subscribed to a folder above. */
  tell(path: string, type?: FolderEvent['type']): void
  fail(folder: string, message: string): void
}

export function fakeWatcher(): FakeWatcher {
  const subscribed = new Map<TellEvents, string>()
  let asked = 0
  const fake: FakeWatcher = {
    refuses: undefined,
    get folders() {
      return [...subscribed.values()]
    },
    get asked() {
      return asked
    },
    load: async () => ({
      backend: 'inotify',
      watcher: {
        async subscribe(folder, tell) {
          asked++
          if (fake.refuses === 'never') await new Promise(() => undefined)
          if (fake.refuses !== undefined) throw new Error(fake.refuses)
          subscribed.set(tell, folder)
          return { unsubscribe: async () => void subscribed.delete(tell) }
        },
      },
    }),
    tell(path, type = 'update') {
      for (const [tell, folder] of subscribed) if (path === folder || path.startsWith(`${folder}/`)) tell(null, [{ path, type }])
    },
    fail(folder, message) {
      for (const [tell, own] of subscribed) if (own === folder) tell(new Error(message), [])
    },
  }
  return fake
}

const TIME = '2026-03-01T10:00:00.000Z'

export interface PiLogs {
  readonly root: string
  pathOf(session: string): string
  /** A new log with one message, or another message. */
  add(session: string, text?: string): void
  /** Writes the log anew, in place. */
  rewrite(session: string, texts: readonly string[]): void
  remove(session: string): void
}

/** Logs of pi in a new folder. */
export function piLogs(root: string, project = '--w--'): PiLogs {
  const texts = new Map<string, string[]>()
  const pathOf = (session: string): string => join(root, project, `2026-03-01T10-00-00-000Z_${session}.jsonl`)
  const head = (session: string): string => line({ type: 'session', version: 3, id: session, timestamp: TIME, cwd: '/w' })
  const said = (n: number, text: string): string =>
    line({ type: 'message', id: `m${n}`, parentId: n === 0 ? null : `m${n - 1}`, timestamp: TIME, message: { role: 'user', content: text } })
  mkdirSync(join(root, project), { recursive: true })
  return {
    root,
    pathOf,
    add(session, text = 'hello') {
      const held = texts.get(session) ?? []
      mkdirSync(dirname(pathOf(session)), { recursive: true })
      if (held.length === 0) writeFileSync(pathOf(session), head(session) + said(0, text))
      else appendFileSync(pathOf(session), said(held.length, text))
      texts.set(session, [...held, text])
    },
    rewrite(session, all) {
      writeFileSync(pathOf(session), head(session) + all.map((text, n) => said(n, text)).join(''))
      texts.set(session, [...all])
    },
    remove(session) {
      rmSync(pathOf(session), { force: true })
      texts.delete(session)
    },
  }
}

const line = (document: object): string => `${JSON.stringify(document)}\n`

/** Puts another folder with the same content in the place of one. */
export function replaceFolder(path: string, copy: (from: string, to: string) => void): void {
  const away = `${path}.away`
  renameSync(path, away)
  copy(away, path)
}

/** Reads a watch to its end; `told` grows meanwhile as `kind session`. */
export function reading(watch: SessionWatch): { readonly told: string[]; readonly ended: Promise<void>; take(): string[] } {
  const told: string[] = []
  const read = async (): Promise<void> => {
    for await (const { kind, session } of watch) told.push(`${kind} ${session.session}`)
  }
  return { told, ended: read(), take: () => told.splice(0) }
}
