import { describe, expect, it } from 'vitest'
import { createIndexer } from '../../src/indexer/indexer.js'
import { sessionSource } from '../../src/indexer/session-source.js'
import { openSessions } from '../../src/open.js'
import { conversation, corpusSession, DAY, WRAP } from '../support/corpus.js'
import { rig } from '../support/index-rig.js'
import { jsonFixture } from '../support/store-fixtures.js'

const EMPTY_QUEUE = { ready: 0, leased: 0, backoff: 0 }

describe('the arguments of an indexer', () => {
  it('that are missing or of another kind are named', async () => {
    await using it = await rig()
    const options = { sessions: it.world.source(), state: it.state, embedder: it.embedder, sink: it.sink }
    const refused = (change: object, text: string): void =>
      expect(() => createIndexer({ ...options, ...change }), text).toThrow(
        expect.objectContaining({ code: 'INVALID_OPTION', reason: expect.stringContaining(text) }),
      )
    refused({ sessions: { index: {}, stores: [] } }, 'sessionSource(sessions)')
    refused({ sessions: undefined }, 'sessionSource(sessions)')
    refused({ state: undefined }, 'state must be')
    refused({ embedder: {} }, 'embedder must be')
    refused({ sink: null }, 'sink must be')
    refused({ exclude: { folders: ['/a'] } }, 'folders')
    expect(() => createIndexer(undefined as never)).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }))
  })

  it('may be an open set of sessions, whole: one that was narrowed is refused', async () => {
    using fixture = jsonFixture([corpusSession(WRAP - DAY, conversation(WRAP - DAY, 2))])
    await using it = await rig()
    const options = { state: it.state, embedder: it.embedder, sink: it.sink, clock: it.clock }
    await using sessions = await openSessions({ data: fixture.path })
    await using indexer = createIndexer({ ...options, sessions })
    expect(await indexer.observe()).toMatchObject({ sessions: 1, changed: 1 })
    await using narrowed = await openSessions({ data: fixture.path, store: 'opencode-json' })
    const refusal = expect.objectContaining({ code: 'INVALID_OPTION', reason: expect.stringContaining('`store`') })
    expect(() => createIndexer({ ...options, sessions: narrowed })).toThrow(refusal)
    expect(() => sessionSource(narrowed)).toThrow(refusal)
  })

  it('may be an index home, spread', async () => {
    await using it = await rig()
    const home = { directory: '/home', close: async () => undefined, state: it.state, embedder: it.embedder, sink: it.sink }
    await using indexer = createIndexer({ sessions: it.world.source(), ...home })
    expect((await indexer.status()).queue).toEqual(EMPTY_QUEUE)
  })
})
