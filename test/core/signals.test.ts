import { getEventListeners } from 'node:events'
import { expect, it } from 'vitest'
import { following, untilAborted, whenAborted } from '../../src/core/signals.js'

it('is aborted with the first of its sources, and for its reason', () => {
  const [one, two] = [new AbortController(), new AbortController()]
  using both = following(one.signal, undefined, two.signal)
  expect(both.signal.aborted).toBe(false)
  two.abort('two')
  one.abort('one')
  expect(both.signal).toMatchObject({ aborted: true, reason: 'two' })
})

it('is aborted from the start when a source is', () => {
  using late = following(new AbortController().signal, AbortSignal.abort('before'))
  expect(late.signal).toMatchObject({ aborted: true, reason: 'before' })
})

it('follows nobody once it is disposed of, and leaves nothing on its sources', () => {
  const source = new AbortController()
  const follower = following(source.signal)
  follower[Symbol.dispose]()
  expect(getEventListeners(source.signal, 'abort')).toEqual([])
  source.abort()
  expect(follower.signal.aborted).toBe(false)
})

it('ends waiting with the reason of its signal, and leaves no listener and no failure that nobody hears of', async () => {
  const source = new AbortController()
  expect(await untilAborted(Promise.resolve(1), source.signal)).toBe(1)
  const waiting = untilAborted(new Promise(() => undefined), source.signal)
  source.abort('enough')
  await expect(waiting).rejects.toBe('enough')
  expect(getEventListeners(source.signal, 'abort')).toEqual([])
  const unheard: unknown[] = []
  const hear = (reason: unknown): void => void unheard.push(reason)
  process.on('unhandledRejection', hear)
  await expect(untilAborted(Promise.reject(new Error('late')), source.signal)).rejects.toBe('enough')
  await new Promise((resolve) => setTimeout(resolve, 5))
  process.off('unhandledRejection', hear)
  expect(unheard).toEqual([])
})

it('tells as many as listen, through one listener, and nobody who has left', () => {
  const source = new AbortController()
  const told: number[] = []
  const listening = Array.from({ length: 20 }, (_, at) => whenAborted(source.signal, () => told.push(at)))
  for (const one of listening.slice(2)) one[Symbol.dispose]()
  expect(getEventListeners(source.signal, 'abort')).toHaveLength(1)
  source.abort()
  expect(told).toEqual([0, 1])
  for (const one of listening) one[Symbol.dispose]()
  whenAborted(source.signal, () => told.push(20))[Symbol.dispose]()
  expect([told, getEventListeners(source.signal, 'abort')]).toEqual([[0, 1], []])
})
