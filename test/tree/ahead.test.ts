import { expect, it } from 'vitest'
import { parseSessionId } from '../../src/core/ids.js'
import { type Agent, type SessionKey, sessionKey } from '../../src/core/keys.js'
import { begunAhead } from '../../src/tree/ahead.js'

const item = (number: number, agent: Agent = 'opencode'): { readonly key: SessionKey; readonly number: number } => ({
  key: sessionKey(agent, parseSessionId(`s${number}`)),
  number,
})

it.each([
  [undefined, 0],
  [3, 3],
])('begins as many ahead as the stores say, and gives all in order (%s)', async (said, ahead) => {
  const items = [1, 2, 3, 4, 5, 6, 7].map((number) => item(number))
  const stores = [{ agent: 'opencode' as const, ...(said !== undefined && { ahead: said }) }]
  let begun = 0
  const taken: number[] = []
  for (const [{ number }, result] of begunAhead({ stores }, items, async () => ++begun)) {
    expect(begun).toBe(Math.min(items.length, number + ahead))
    expect(await result).toBe(number)
    taken.push(number)
  }
  expect(taken).toEqual(items.map(({ number }) => number))
})

it('begins nothing ahead of which the stores say so, whatever stands before', () => {
  const stores = [{ agent: 'opencode' as const, ahead: 3 }, { agent: 'pi' as const }]
  const items = [item(1), item(2), item(3, 'pi'), item(4), item(5)]
  let begun = 0
  const seen: number[] = []
  for (const _ of begunAhead({ stores }, items, async () => ++begun)) seen.push(begun)
  expect(seen).toEqual([2, 2, 5, 5, 5])
})

it('lets what fails fail in its place, and what nobody wants any more in silence', async () => {
  const seen: unknown[] = []
  const fail = async ({ number }: { readonly number: number }): Promise<number> => {
    if (number > 1) throw new RangeError(String(number))
    return number
  }
  const stores = [{ agent: 'opencode' as const, ahead: 2 }]
  for (const [{ number }, result] of begunAhead(
    { stores },
    [1, 2, 3, 4].map((number) => item(number)),
    fail,
  )) {
    seen.push(await result.catch((error: unknown) => error))
    if (number === 2) break
  }
  expect(seen).toEqual([1, new RangeError('2')])
  // A rejection that nobody handles fails the run.
  await new Promise((resolve) => setTimeout(resolve))
})
