/** The contract of sinks on a real Chroma server: that of SPANLEAF_TEST_CHROMA, or one of our own. */
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, vi } from 'vitest'
import { openChromaSink } from '../../src/indexer/sinks/chroma.js'
import { describeSink } from '../contracts/sink.js'
import { type ChromaTestServer, startChromaServer, whyNoServer } from '../support/chroma-server.js'

const given = process.env.SPANLEAF_TEST_CHROMA
// a busy machine runs the server slowly
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

const missing = given === undefined ? whyNoServer() : undefined

describe.skipIf(missing !== undefined)(`the sink on a real Chroma server${missing === undefined ? '' : ` (skipped: ${missing})`}`, () => {
  let server: ChromaTestServer | undefined
  beforeAll(async () => {
    if (given === undefined) server = await startChromaServer()
  })
  afterAll(async () => {
    if (server === undefined) for (const name of made) await (await open(name)).drop?.()
    await server?.[Symbol.asyncDispose]()
  })
  const made: string[] = []
  const open = (collection: string) => openChromaSink({ url: given ?? server?.url ?? '', collection, space: 'test/8' })
  const empty = async () => {
    const name = `contract-${randomUUID()}`
    made.push(name)
    return open(name)
  }
  describeSink('chroma', empty, { runs: 5 })
})
