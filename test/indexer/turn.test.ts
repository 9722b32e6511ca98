import { expect, it } from 'vitest'
import { createTurn } from '../../src/indexer/embedding/turn.js'

const NEVER = new AbortController().signal

it('calls run one at a time, in the order in which they came, whatever becomes of those before them', async () => {
  const turn = createTurn()
  const log: string[] = []
  const call = (name: string, fails = false) =>
    turn(async () => {
      log.push(`${name} begins`)
      await Promise.resolve()
      log.push(`${name} ends`)
      if (fails) throw new Error(name)
      return name
    }, NEVER)
  const results = await Promise.allSettled([call('a'), call('b', true), call('c')])
  expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
  expect(log).toEqual(['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends'])
})

it('a call that is given up while it waits is not run, and those behind it wait for those before it', async () => {
  const turn = createTurn()
  const stop = new AbortController()
  const log: string[] = []
  let end = (): void => undefined
  const first = turn(() => new Promise<void>((resolve) => (end = resolve)), NEVER)
  const second = turn(async () => log.push('second'), stop.signal)
  const third = turn(async () => log.push('third'), NEVER)
  stop.abort(new Error('enough'))
  await expect(second).rejects.toThrow('enough')
  await Promise.resolve()
  expect(log).toEqual([])
  end()
  await Promise.all([first, third])
  expect(log).toEqual(['third'])
})
