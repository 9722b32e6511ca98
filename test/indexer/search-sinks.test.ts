import { describe } from 'vitest'
import { hashEmbedder } from '../../src/indexer/embedders/hash.js'
import { openLocalSink } from '../../src/indexer/sinks/local.js'
import { describeSearch } from '../contracts/search.js'
import { tempFolder } from '../support/temp.js'

describe('search', () => {
  describeSearch('local', async () => {
    const folder = tempFolder()
    const sink = await openLocalSink({ path: `${folder.path}/sink.db`, space: hashEmbedder().space })
    const close = sink[Symbol.asyncDispose].bind(sink)
    sink[Symbol.asyncDispose] = async () => {
      await close()
      folder[Symbol.dispose]()
    }
    return sink
  })
})
