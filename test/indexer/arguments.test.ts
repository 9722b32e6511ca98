import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { SETTINGS } from '../../src/indexer/config/config-settings.js'
import { createIndexer } from '../../src/indexer/indexer.js'
import type { IndexerOptions } from '../../src/indexer/indexer-types.js'
import { LIMITS } from '../../src/indexer/options.js'
import { sessionSource } from '../../src/indexer/session-source.js'
import { openSessions } from '../../src/open.js'
import { conversation, corpusSession, DAY, WRAP } from '../support/corpus.js'
import { rig } from '../support/index-rig.js'
import { REPOSITORY } from '../support/real-sets.js'
import { jsonFixture } from '../support/store-fixtures.js'

const BAD_NAMESPACES = ['', ' ', 'my laptop', 'ü', 'a/b', 'a\u0001b', 'x'.repeat(3000), 5, null]
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

describe('an option of another kind or out of range', () => {
  /** Each is refused by name before anything is written: the folder stays of use. */
  async function refusals(changes: readonly (readonly [object, string])[]): Promise<void> {
    await using it = await rig({}, { memory: true })
    const options = { sessions: it.world.source(), state: it.state, embedder: it.embedder, sink: it.sink }
    for (const [change, text] of changes)
      expect(() => createIndexer({ ...options, ...change }), `${Object.keys(change)[0]} ${text}`).toThrow(
        expect.objectContaining({ code: 'INVALID_OPTION', reason: expect.stringContaining(text) }),
      )
    expect(it.state.identity()).toBeUndefined()
    it.world.add('ses_a', ['one'])
    await it.run()
    expect(it.sink.rows.size).toBe(1)
  }

  it('is refused: a namespace that no document id can begin with, which would be recorded for good', () =>
    refusals(BAD_NAMESPACES.map((namespace) => [{ namespace }, 'namespace'] as const)))

  it('is refused: a number', () =>
    refusals([
      [{ pollMs: Number.POSITIVE_INFINITY }, 'pollMs must be a number between 0 and 2147483647, not Infinity'],
      [{ pollMs: 2 ** 31 }, 'pollMs'],
      [{ sweepMs: 2 ** 31 }, 'sweepMs'],
      [{ drainMs: Number.NaN }, 'drainMs must be a number between 0 and 2147483647, not NaN'],
      [{ slowScanIntervalMs: 32 * 10 ** 9 }, 'slowScanIntervalMs'],
      [{ quantum: 1.5 }, 'quantum must be a whole number of at least 1, not 1.5'],
      [{ concurrency: 0.5 }, 'concurrency'],
      [{ batchSize: Number.POSITIVE_INFINITY }, 'batchSize'],
      [{ listPage: null }, 'listPage'],
      [{ slowScanBatch: -1 }, 'slowScanBatch must be a whole number of at least 0'],
      [{ maxWalBytes: '5' }, 'maxWalBytes'],
    ]))

  it('is refused: a switch, a function, a signal, a clock', () =>
    refusals([
      [{ walEnabled: 'no' }, 'walEnabled must be true or false, not "no"'],
      [{ rebuild: 1 }, 'rebuild'],
      [{ random: 3 }, 'random must be a function, not 3'],
      [{ failpoint: {} }, 'failpoint'],
      [{ onProgress: 3 }, 'onProgress'],
      [{ signal: {} }, 'signal must be an AbortSignal'],
      [{ clock: {} }, 'clock must be a clock'],
    ]))

  it('is refused: what it stands upon', () =>
    refusals([
      [{ redact: true }, 'redact must be a redactor'],
      [{ redact: 'secretlint' }, 'redact must be a redactor'],
      [{ redact: { redact: () => undefined } }, 'redact must have a name'],
      [{ cache: {} }, 'cache must be a cache of embeddings'],
      [{ cache: null }, 'cache'],
      [{ former: 3 }, 'former must be a list of sinks, not 3'],
      [{ former: [{}] }, 'former'],
      [{ embedder: { embed: () => undefined, dimensions: 3 } }, 'the space of the embedder'],
      [{ embedder: { embed: () => undefined, space: 'x/1', dimensions: 0.5 } }, 'the dimensions of the embedder'],
    ]))

  it('is refused: an exclusion that would exclude nothing', () =>
    refusals([
      [{ exclude: 3 }, 'exclude must be an object, not 3'],
      [{ exclude: null }, 'exclude'],
      [{ exclude: '/home/me/private' }, 'exclude'],
      [{ exclude: ['/home/me/private'] }, 'exclude must be an object, not a list'],
      [{ exclude: { dirs: ['/a'] } }, 'dirs'],
      [{ exclude: { directories: '/a' } }, 'exclude.directories must be a list of texts, not "/a"'],
      [{ exclude: { directories: null } }, 'exclude.directories'],
      [{ exclude: { projects: [3] } }, 'exclude.projects must hold texts'],
      [{ exclude: { projects: [undefined] } }, 'exclude.projects'],
      [{ exclude: { sessions: [''] } }, 'exclude.sessions'],
      [
        { exclude: { sessions: [{ kind: 'session', agent: 'pi', session: 'ses_a' }] } },
        'exclude.sessions must hold texts, such as the `id` of a session',
      ],
      [{ exclude: { sessions: ['opencode\u0001ses_a'] } }, 'exclude.sessions must be the ids of sessions'],
      [{ exclude: { sessions: ['/home/me/private'] } }, 'exclude.sessions must be the ids of sessions'],
      ...['private', './private', '../x', '~/private', '~', 'C:private', '/a/../b', '/a/./b', '/a//b', 'C:\\a\\..\\b'].map(
        (path) => [{ exclude: { directories: ['/fine', path] } }, 'exclude.directories must be full paths'] as const,
      ),
    ]))

  it('is refused by every call that asks for exclusions anew, and by each call of an indexer', async () => {
    const given: { exclude: unknown } = { exclude: {} }
    await using it = await rig({ exclude: () => given.exclude as object }, { memory: true })
    it.world.add('ses_a', ['one'])
    await it.indexer.observe()
    for (given.exclude of [3, undefined, { dirs: [] }, { directories: ['rel'] }, Promise.resolve({ directories: ['/a'] }), new Map()]) {
      await expect(it.indexer.observe()).rejects.toMatchObject({ code: 'EXCLUSIONS_DAMAGED', reason: expect.stringContaining('exclude') })
      await expect(it.indexer.drain()).rejects.toMatchObject({ code: 'EXCLUSIONS_DAMAGED' })
    }
    expect(it.embedder.texts).toEqual([])
    expect(it.state.status()).toMatchObject({ queue: { ready: 1, leased: 0, backoff: 0 }, counters: { failures: 0 } })
    given.exclude = {}
    await it.indexer.drain()
    expect(it.embedder.texts).toEqual(['one'])
    const loosely = it.indexer as unknown as Readonly<Record<string, (...given: readonly unknown[]) => Promise<unknown>>>
    for (const [name, ...args] of [
      ['drain', 3],
      ['observe', {}],
      ['tick', 3],
      ['tick', { maxSessions: 1.5 }],
      ['walRecover', { limit: 0 }],
      ['verify', { repair: 'no' }],
      ['verify', { signal: 3 }],
    ] as const)
      await expect(loosely[name]?.(...args), name).rejects.toMatchObject({ code: 'INVALID_OPTION' })
  })

  it('may be at the edge of its range', async () => {
    await using it = await rig({}, { memory: true })
    const edges: readonly Partial<IndexerOptions>[] = [
      { pollMs: 2 ** 31 - 1, slowScanBatch: 0, slowScanIntervalMs: SETTINGS.slowScanIntervalMs.max, maxInflightBytes: Number.POSITIVE_INFINITY },
      { namespace: 'A-z_0.9', walEnabled: false, rebuild: false, former: [], exclude: {} },
      {
        exclude: {
          directories: ['/', '/a/b/', 'C:\\work', 'C:/', 'c:', '//host/share', '\\\\host\\share'],
          projects: ['-home-me'],
          sessions: ['ses_a', 'é', '--home-a..b--'],
        },
      },
      { exclude: Object.assign(Object.create(null), { sessions: [] }) },
    ]
    for (const edge of edges) {
      const options = { sessions: it.world.source(), state: it.state, embedder: it.embedder, sink: it.sink }
      expect(() => createIndexer({ ...options, ...edge })).not.toThrow()
    }
  })

  it('is refused for an event that never comes, and for a listener that is none', async () => {
    await using it = await rig({}, { memory: true })
    const on = it.indexer.on as (kind: unknown, listener: unknown) => () => void
    const refusal = (text: string) => expect.objectContaining({ code: 'INVALID_OPTION', reason: expect.stringContaining(text) })
    expect(() => on('comitted', () => undefined)).toThrow(refusal('not "comitted"'))
    for (const kind of [undefined, 3, 'toString']) expect(() => on(kind, () => undefined)).toThrow(refusal('the kind of event'))
    for (const listener of [undefined, null, 3]) expect(() => on('committed', listener)).toThrow(refusal('the listener'))
    expect(on('left-out', () => undefined)).toBeTypeOf('function')
  })
})

describe('the limits', () => {
  it('that are settings too have one default', () => {
    for (const [name, value] of Object.entries(LIMITS)) {
      if (name in SETTINGS) expect([name, value]).toEqual([name, SETTINGS[name as keyof typeof SETTINGS].default])
    }
  })

  it('stand in docs/indexer.md, each with its default', () => {
    const page = readFileSync(join(REPOSITORY, 'docs', 'indexer.md'), 'utf8')
    for (const [name, value] of Object.entries(LIMITS)) expect(page).toContain(`| \`${name}\` | ${value} |`)
  })
})
