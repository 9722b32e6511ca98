import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { awaitIndexLock, isIndexLocked, takeIndexLock } from '../../src/tree/catalog/index-lock.js'
import type { Owner, OwnerProbe } from '../../src/tree/catalog/owner.js'
import { manualClock } from '../support/clocks.js'
import { tempFolder } from '../support/temp.js'

/** Processes are told apart by pid and start. */
function probe(pid: number, running: readonly number[], start = '1'): OwnerProbe {
  return { self: () => ({ pid, boot: 'b', start, namespace: 'n' }), isGone: (owner: Owner) => !running.includes(owner.pid) || owner.start !== start }
}

const HOUR = 60 * 60_000

describe('the lock of the catalog', () => {
  it('is held by one process, which gives it back', () => {
    using folder = tempFolder()
    const path = join(folder.path, 'home', 'sessions.idx.lock')
    const clock = manualClock(HOUR)
    const running = [1, 2]
    const first = takeIndexLock(path, { clock, owners: probe(1, running) })
    expect(first?.reclaimed).toBeUndefined()
    expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual({ pid: 1, boot: 'b', start: '1', namespace: 'n', since: HOUR })
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(takeIndexLock(path, { clock, owners: probe(2, running) })).toBeUndefined()
    expect(isIndexLocked(path, { clock, owners: probe(2, running) })).toBe(true)
    first?.[Symbol.dispose]()
    expect(existsSync(path)).toBe(false)
    expect(isIndexLocked(path, { clock, owners: probe(2, running) })).toBe(false)
    expect(readdirSync(join(folder.path, 'home'))).toEqual([])
  })

  it.each<[string, number[], string]>([
    ['is gone', [2], '1'],
    ['is another process by now, with its pid', [1, 2], '2'],
  ])('is taken over when its owner %s', (_name, running, start) => {
    using folder = tempFolder()
    const path = join(folder.path, 'sessions.idx.lock')
    const clock = manualClock(HOUR)
    const first = takeIndexLock(path, { clock, owners: probe(1, [1]) })
    const second = takeIndexLock(path, { clock, owners: probe(2, running, start) })
    expect(second?.reclaimed).toMatchObject({ pid: 1 })
    // What was taken over is not the former owner's to give back.
    first?.[Symbol.dispose]()
    expect(JSON.parse(readFileSync(path, 'utf8'))).toMatchObject({ pid: 2 })
    second?.[Symbol.dispose]()
    expect(readdirSync(folder.path)).toEqual([])
  })

  it('is let go after a long time where nothing can be proved, and where its time is to come', () => {
    using folder = tempFolder()
    const path = join(folder.path, 'sessions.idx.lock')
    const clock = manualClock(HOUR)
    takeIndexLock(path, { clock, owners: probe(1, [1]) })
    const other = { clock: manualClock(HOUR + 11 * 60_000), owners: probe(2, [1, 2]) }
    expect(takeIndexLock(path, other)?.reclaimed).toMatchObject({ pid: 1 })
    expect(takeIndexLock(path, { clock, owners: probe(3, [2, 3]) })?.reclaimed).toMatchObject({ pid: 2 })
  })

  it('leaves alone what no process of this library wrote, and does without', () => {
    using folder = tempFolder()
    const options = { clock: manualClock(HOUR), owners: probe(1, [1]) }
    for (const text of ['', 'my notes', '{"pid":"x"}', '[]', 'null']) {
      const path = join(folder.path, 'sessions.idx.lock')
      writeFileSync(path, text)
      expect(takeIndexLock(path, options)).toBeUndefined()
      expect(isIndexLocked(path, options)).toBe(false)
      expect(readFileSync(path, 'utf8')).toBe(text)
    }
    const path = join(folder.path, 'folder.lock')
    mkdirSync(path)
    expect(takeIndexLock(path, options)).toBeUndefined()
    expect(takeIndexLock(join(folder.path, 'sessions.idx.lock', 'below'), options)).toBeUndefined()
    expect(readdirSync(folder.path).sort()).toEqual(['folder.lock', 'sessions.idx.lock'])
  })

  it('is waited for as long as its owner runs, some seconds at most, and no longer than is asked', async () => {
    using folder = tempFolder()
    const path = join(folder.path, 'sessions.idx.lock')
    const running = [1, 2]
    takeIndexLock(path, { clock: manualClock(HOUR), owners: probe(1, running) })
    const clock = manualClock(HOUR, (times) => void (times === 5 && running.shift()))
    const lock = await awaitIndexLock(path, { clock, owners: probe(2, running) }, new AbortController().signal)
    expect([lock?.reclaimed?.pid, clock.slept.length]).toEqual([1, 5])
    const later = manualClock(HOUR)
    expect(await awaitIndexLock(path, { clock: later, owners: probe(3, [2, 3]) }, new AbortController().signal)).toBeUndefined()
    expect(later.wall - HOUR).toBe(10_000)
    const none = manualClock(HOUR)
    expect(await awaitIndexLock(path, { clock: none, owners: probe(3, [2, 3]) }, AbortSignal.abort())).toBeUndefined()
    expect(none.slept).toEqual([])
  })
})
