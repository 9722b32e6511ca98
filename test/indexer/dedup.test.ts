/** Bars B15 and B16: what a record weighs, and that the same text is embedded once, wherever it comes back. */
import { createHash } from 'node:crypto'
import { deflateRawSync } from 'node:zlib'
import { expect, it } from 'vitest'
import { openEmbedCache } from '../../src/indexer/embedding/embed-cache.js'
import { inBatches, upsertRecord } from '../../src/indexer/records.js'
import { encodeWal } from '../../src/indexer/state/wal-codec.js'
import { engineRig, upsertsOf } from '../support/index-engine.js'
import { rig } from '../support/index-rig.js'
import { contentOf, countingEmbedder, keyOf, metaOf, START, tempFolder } from '../support/index-world.js'

const many = (n: number): string[] => Array.from({ length: n }, (_, i) => `message ${i} of a long session`)

it('B16: a fork, a reset and a second collection embed nothing that was embedded before', async () => {
  using folder = tempFolder()
  await using cache = await openEmbedCache({ directory: folder.path, now: () => START })
  await using it = await rig({ cache })
  const texts = many(1000)
  it.world.add('ses_a', texts)
  await it.run()
  expect(it.embedder.texts).toHaveLength(1000)

  it.world.add('ses_fork', [...texts, 'one more'])
  await it.run()
  expect(it.embedder.texts.slice(1000)).toEqual(['one more'])

  expect(await it.indexer.resetSession(keyOf('ses_a'))).toBe(true)
  await it.run()
  expect(it.embedder.texts).toHaveLength(1001)

  const embedder = countingEmbedder()
  await using other = await rig({ cache, embedder, namespace: 'notes' })
  other.world.add('ses_a', texts)
  await other.run()
  expect(embedder.texts).toEqual([])
  expect(contentOf(other.sink)).toEqual(other.world.expected('notes'))
  expect((await it.indexer.status()).cache).toEqual({ hits: 3000, misses: 1001 })
})

it('B16: without a cache, texts that are the same in sessions worked on at once are embedded once', async () => {
  // In memory, where no wait for a disk keeps the sessions apart.
  await using it = await rig({ concurrency: 4, batchSize: 5 }, { memory: true })
  for (let i = 0; i < 4; i++) it.world.add(`ses_${i}`, many(50))
  await it.run()
  expect(it.embedder.texts.length).toBe(50)
  expect(contentOf(it.sink)).toEqual(it.world.expected())
})

it.each([1024, 4096])('B15: a record of 32 texts and %i dimensions weighs its vectors and its packed texts', async (dimensions) => {
  const embed = async (texts: readonly string[]) => new Float32Array(texts.length * dimensions).map((_, i) => Math.sin(i + 1))
  const it = await engineRig({ embedder: { name: 'wide', space: 'wide', dimensions, embed } })
  const word = (name: string): string => createHash('sha256').update(name).digest('base64').slice(0, 8)
  const texts = Array.from({ length: 32 }, (_, i) =>
    many(150)
      .map((line) => word(`${i} ${line}`))
      .join(' '),
  )
  const session = it.world.add('ses_a', texts)
  await using lease = await it.claim('ses_a')
  const [batch = []] = inBatches(upsertsOf(it, 'ses_a'), it.engine)
  const { record } = await upsertRecord(it.engine, { batch, meta: metaOf(session), isOut: () => false }, lease)
  if (record === undefined) throw new Error('nothing was embedded')
  const { head, matrix } = encodeWal(record)
  const packed = deflateRawSync(record.rows.map(({ text }) => text).join('')).length
  const vectors = record.rows.length * dimensions * 4
  expect(head.length + matrix.length).toBeLessThanOrEqual(1.05 * (vectors + packed))
})
