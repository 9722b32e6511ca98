/** SIGKILL at every crash point: the next run ends where an undisturbed one does, and what is in a record is not embedded again. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { FAILPOINTS, type FailpointName } from '../../src/indexer/state/failpoints.js'
import { type CrashRig, contentOf, crashRig, DOCUMENTS, eventsOf, type RunOptions, run, surplus } from '../support/crash-rig.js'

let rig: CrashRig
beforeAll(async () => {
  rig = await crashRig()
})
afterAll(() => rig[Symbol.dispose]())

/** The points of a drain; `m` is passed only when a new space takes over, see crash-spaces.test.ts. */
const POINTS = (Object.keys(FAILPOINTS) as FailpointName[]).filter((name) => name !== 'm')
const UNLOGGED = POINTS.filter((name) => name !== 'e')
/** Texts of one record, see index-child.mjs: what a crash before it is durable may cost at most. */
const RECORD = 4
/** Texts of one call of the embedder. */
const BATCH = 2

/** Killed at the point, then run to the end. Fails unless the point was passed. */
async function recovered(killAt: string, options: RunOptions = {}, name = killAt) {
  const there = rig.place(`${name}-${killAt}`.replaceAll(/[: ]/g, '-'))
  expect(await run(there, { ...options, killAt })).toBe('SIGKILL')
  expect(await run(there, options)).toBe('0')
  const events = eventsOf(there)
  expect(events.killedAt).toEqual([killAt.split(':')[0]])
  return { content: contentOf(there, options), events }
}

it('an undisturbed run leaves what the second world says', () => {
  const rows = rig.undisturbed.map((line) => JSON.parse(line) as { readonly session: string; readonly title: string })
  expect([...new Set(rows.map(({ session }) => session))].sort()).toEqual(['ses_a', 'ses_b', 'ses_d'])
  expect(rows).toHaveLength(DOCUMENTS.after)
  expect(rows.map(({ title }) => title)).not.toContain('B')
})

describe.concurrent('killed at a point', () => {
  const places = [...POINTS.flatMap((point) => [`${point}:1`, `${point}:2`]), ...['j:4', 'j:7', 'j:11', 'j:16', 'j:22', 'j:30']]

  it.each(places)('%s, it recovers, and embeds nothing that was in a record', async (killAt) => {
    const { content, events } = await recovered(killAt)
    expect(content).toEqual(rig.undisturbed)
    expect(events.repeated).toEqual([])
    // Before the record is durable one batch of texts, after it none.
    expect(surplus(events)).toBeLessThanOrEqual('cdj'.includes(killAt.charAt(0)) ? RECORD : 0)
  })

  it.each(POINTS)('%s, with two sessions at a time', async (point) => {
    const { content, events } = await recovered(`${point}:2`, { concurrency: 2 }, 'two')
    expect(content).toEqual(rig.undisturbed)
    expect(events.repeated).toEqual([])
  })

  it.each(['c:1', 'c:2', 'c:3', 'd:1', 'd:3', 'e:1', 'f:2', 'j:9'])('%s, with a cache no text is embedded twice at all', async (killAt) => {
    const { content, events } = await recovered(killAt, { cache: true }, 'cache')
    expect(content).toEqual(rig.undisturbed)
    expect(events.recomputed).toEqual([])
    expect(surplus(events)).toBe(0)
  })

  it.each(UNLOGGED)('%s, without write-ahead records it is exact all the same', async (point) => {
    const { content } = await recovered(`${point}:2`, { wal: false }, 'unlogged')
    expect(content).toEqual(rig.undisturbed)
  })

  it.each(['c:2', 'd:2', 'f:1', 'g:2'])('%s, without write-ahead records a cache still spares what was answered', async (killAt) => {
    const { content, events } = await recovered(killAt, { wal: false, cache: true, concurrency: 2 }, 'unlogged-cache')
    expect(content).toEqual(rig.undisturbed)
    expect(events.recomputed).toEqual([])
    // One answer may be on its way to the cache while the other session passes the point.
    expect(surplus(events)).toBeLessThanOrEqual(BATCH)
  })
})
