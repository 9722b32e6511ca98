/** Ticks only go up, and what is in a dirty folder is dirty. */
import { expect, it } from 'vitest'
import { createDirtyTracker, createGenerationClock } from '../../src/core/dirty-tracker.js'

it('gives every mark a tick of its own', () => {
  const clock = createGenerationClock()
  const tracker = createDirtyTracker(clock)
  expect(clock.now).toBe(0)
  expect([tracker.mark('/a/b'), tracker.mark('/a/c'), tracker.mark('/a/b')]).toEqual([1, 2, 3])
  expect(clock.now).toBe(3)
  expect(tracker.since(0)).toEqual(['/a/c', '/a/b'])
  expect(tracker.since(2)).toEqual(['/a/b'])
  expect(tracker.since(3)).toEqual([])
})

it('a path is as dirty as the folders that it is in, and no more', () => {
  const tracker = createDirtyTracker()
  tracker.mark('/a/b')
  expect(['/a/b', '/a/b/c', '/a/b/c/d.json', '/a', '/a/bc', '/'].map((path) => tracker.tickOf(path))).toEqual([1, 1, 1, 0, 0, 0])
  tracker.mark('/a/b/c')
  expect(['/a/b', '/a/b/c/d.json', '/a/b/x'].map((path) => tracker.tickOf(path))).toEqual([1, 2, 1])
  tracker.mark('/')
  expect(tracker.tickOf('/any/thing')).toBe(3)
})

it('remembers folders in the place of too many paths, and forgets nothing', () => {
  const tracker = createDirtyTracker(createGenerationClock(), 100)
  const paths = Array.from({ length: 1000 }, (_, at) => `/store/${at % 7}/${at}.json`)
  for (const path of paths) tracker.mark(path)
  expect(tracker.since(0).length).toBeLessThanOrEqual(101)
  for (const [at, path] of paths.entries()) expect(tracker.tickOf(path)).toBeGreaterThanOrEqual(at + 1)
})
