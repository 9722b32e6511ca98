/** Searches that would keep others waiting, and expressions that take long of many texts, none of them for ever. */
import { setImmediate as turn } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { type Clock, systemClock } from '../../src/core/clock.js'
import { parseSessionId } from '../../src/core/ids.js'
import { type SessionKey, sessionKey } from '../../src/core/keys.js'
import { MemoryStore } from '../../src/storage/memory-store.js'
import { grepSessions } from '../../src/tree/grep/grep.js'
import { GrepReader, type GrepSearch } from '../../src/tree/grep/reader.js'
import { matcherOf } from '../../src/tree/grep/text.js'
import { limitedTo, type TimeLimit } from '../../src/tree/grep/time-limit.js'
import { createSessionSet } from '../../src/tree/sessions/session-set.js'
import type { Sessions } from '../../src/tree/sessions/sessions.js'

const KEY: SessionKey = sessionKey('opencode', parseSessionId('s'))
const ENDLESS = /(a+)+$/
const HARD = `${'a'.repeat(60)}!`

/** A message with a part for each of the texts. */
async function setWith(texts: readonly string[], clock: Clock): Promise<Sessions> {
  const store = new MemoryStore()
  store.put({ session: 's' }, { title: 't', directory: '/a', time: { created: 1, updated: 1 } }, 1)
  store.put({ session: 's', message: 'm' }, { role: 'user', time: { created: 1 } }, 1)
  for (const [at, text] of texts.entries())
    store.put({ session: 's', message: 'm', part: `p${String(at).padStart(3, '0')}` }, { type: 'text', text }, 1)
  return createSessionSet([store], { clock })
}

it('others have their turn between the places of one text', async () => {
  let now = 0
  await using set = await setWith(['marmot\n'.repeat(1000)], { ...systemClock, monotonic: () => (now += 10) })
  let [turns, hits] = [0, 0]
  let isOver = false
  const counting = (async () => {
    while (!isOver) {
      await turn()
      turns++
    }
  })()
  for await (const _ of grepSessions(set, 'marmot')) hits++
  isOver = true
  await counting
  expect(hits).toBe(1000)
  expect(turns).toBeGreaterThan(Math.floor(1000 / 64))
})

it('a signal is heard between the places of one text', async () => {
  let now = 0
  await using set = await setWith(['marmot\n'.repeat(1000)], { ...systemClock, monotonic: () => (now += 10) })
  const ending = new AbortController()
  const reading = (async () => {
    for await (const _ of grepSessions(set, 'marmot', { signal: ending.signal })) ending.abort(new Error('enough'))
  })()
  await expect(reading).rejects.toThrow('enough')
})

it.each([true, false])('each text has all of the time where all together take long (once: %s)', async (once) => {
  const texts = Array.from({ length: 50 }, (_, at) => (at % 2 === 0 ? 'a marmot' : 'none'))
  await using set = await setWith(texts, systemClock)
  let asked = 0
  const limit: TimeLimit = {
    attempt: (work) => {
      work()
      return undefined
    },
    within(work) {
      asked++
      return work()
    },
  }
  const search: GrepSearch = {
    find: matcherOf(/marmot/, false),
    limit,
    context: 10,
    filter: undefined,
    kinds: undefined,
    once,
    signal: undefined,
    tell: () => undefined,
  }
  const parts: (string | undefined)[] = []
  for await (const page of new GrepReader(set, search).pages(KEY)) parts.push(...page.map(({ part }) => part?.part))
  expect(parts.length).toBe(once ? 1 : 25)
  expect(asked).toBe(once ? 1 : 50)
})

it('what takes long is ended, and tried again only where it may take longer', () => {
  const limit = limitedTo(200)
  const endless = (): object => [ENDLESS.test(HARD)]
  expect(limit.attempt(endless)).toBeUndefined()
  expect(() => limit.within(endless)).toThrow('longer than 200 ms')
  expect(limit.attempt(() => [1])).toEqual([1])
  expect(() => limit.within(() => JSON.parse('{'))).toThrow(SyntaxError)
})
