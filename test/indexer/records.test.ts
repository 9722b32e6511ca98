/** How much goes into one call of the embedder, and how much into one record. */
import { describe, expect, it } from 'vitest'
import { openEmbedCache } from '../../src/indexer/embedding/embed-cache.js'
import { rig } from '../support/index-rig.js'
import { contentOf, countingEmbedder, START, tempFolder } from '../support/index-world.js'

const many = (n: number): string[] => Array.from({ length: n }, (_, i) => `text ${i}`)

describe('a record', () => {
  it('holds what several calls of the embedder gave', async () => {
    const calls: number[] = []
    const inner = countingEmbedder()
    const embedder = {
      ...inner,
      embed: (...[texts, options]: Parameters<typeof inner.embed>) => {
        calls.push(texts.length)
        return inner.embed(texts, options)
      },
    }
    await using it = await rig({ embedder })
    it.world.add('ses_a', many(300))
    await it.run()
    expect(Math.max(...calls)).toBe(32)
    expect(it.state.status().counters.commits).toBe(2)
    expect(contentOf(it.sink)).toEqual(it.world.expected())
  })

  it('that was never written repeats only what the cache does not hold', async () => {
    using folder = tempFolder()
    await using cache = await openEmbedCache({ directory: folder.path, now: () => START })
    let calls = 0
    const failpoint = (name: string): void => {
      if (name === 'c' && ++calls === 3) throw new Error('a crash')
    }
    await using it = await rig({ cache, batchSize: 10, recordSize: 40, failpoint })
    it.world.add('ses_a', many(40))
    await it.run()
    expect(it.state.status().wal.records).toBe(0)
    it.clock.advance(120_000)
    expect(await it.indexer.drain()).toMatchObject({ embedded: 20, cached: 20 })
    expect(it.embedder.texts).toEqual(many(40))
  })
})

it('two drains at once each report their own work', async () => {
  await using it = await rig()
  for (let i = 0; i < 10; i++) it.world.add(`ses_${i}`, [`one ${i}`, `two ${i}`])
  await it.indexer.observe()
  const reports = await Promise.all([it.indexer.drain(), it.indexer.drain()])
  for (const { sessions, documents, messages } of reports) expect([documents, messages]).toEqual([2 * sessions, 2 * sessions])
  expect(reports.map(({ documents }) => documents).reduce((a, b) => a + b)).toBe(20)
})
