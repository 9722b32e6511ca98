/** The index home: what it opens by the settings, and what happens when another embedder or another sink is chosen. */
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  createIndexer,
  type DrainReport,
  hashEmbedder,
  type IndexHome,
  type IndexHomeOptions,
  type LocalIndexStore,
  openIndexHome,
  openIndexReader,
  type PartialConfig,
  readHomeRecord,
  searchIndex,
} from '../../src/indexer/index.js'
import { spaceIdOf } from '../../src/indexer/space.js'
import { memoryState, memoryStatePlace } from '../../src/indexer/state/memory/state.js'
import { type ChromaTestServer, startChromaServer, whyNoServer } from '../support/chroma-server.js'
import { FAKE_MODEL, type FakeOllama, fakeOllama } from '../support/fake-ollama.js'
import { fakeClock, World } from '../support/index-world.js'
import { tempFolder } from '../support/temp.js'

const folder = tempFolder()
let ollama: FakeOllama
beforeAll(async () => {
  ollama = await fakeOllama()
})
afterAll(async () => {
  await ollama[Symbol.asyncDispose]()
  folder[Symbol.dispose]()
})

let homes = 0
/** A home of its own, with a state that outlives its openings, as the file does. */
function aHome() {
  const path = join(folder.path, `home-${homes++}`)
  const clock = fakeClock()
  const world = new World(clock)
  world.add('ses_a', ['how do we stop the thundering herd', 'with jitter on every retry'])
  world.add('ses_b', ['what is a token bucket', 'a limiter that refills'])
  const place = memoryStatePlace()
  const said: string[] = []
  const stateOf = (): LocalIndexStore => memoryState({ place, clock })
  const open = (config: PartialConfig = {}, options: Partial<IndexHomeOptions> = {}): Promise<IndexHome> =>
    openIndexHome({
      home: path,
      state: stateOf(),
      clock,
      config: { ollamaUrl: ollama.url, ollamaModel: FAKE_MODEL, ...config },
      warn: (s) => said.push(s),
      ...options,
    })
  const drain = async (home: IndexHome): Promise<DrainReport> => {
    await using indexer = createIndexer({ ...home, sessions: world.source(), clock })
    await indexer.observe()
    return await indexer.drain()
  }
  const index = async (config?: PartialConfig): Promise<DrainReport> => {
    await using home = await open(config)
    return await drain(home)
  }
  const reader = (config: PartialConfig = {}) =>
    openIndexReader({ home: path, state: stateOf(), clock, config: { ollamaUrl: ollama.url, ollamaModel: FAKE_MODEL, ...config } })
  const found = async (config?: PartialConfig, query = 'thundering herd'): Promise<string | undefined> => {
    await using index = await reader(config)
    return index && (await searchIndex(index, query))[0]?.session
  }
  return {
    path,
    clock,
    world,
    said,
    place,
    open,
    index,
    reader,
    found,
    drain,
    directory: join(path, 'index'),
    record: () => readHomeRecord(join(path, 'index')),
  }
}

const code = async (promise: Promise<unknown>): Promise<{ code: string; reason: string }> => {
  try {
    await promise
  } catch (error) {
    return error as { code: string; reason: string }
  }
  throw new Error('it was not refused')
}

describe('with nothing chosen', () => {
  it('asks no service, indexes and finds', async () => {
    const home = aHome()
    const asked = ollama.listings
    expect(await home.index()).toMatchObject({ sessions: 2, documents: 4, failed: 0 })
    expect([await home.found(), home.said]).toEqual(['ses_a', []])
    expect(ollama.listings).toBe(asked)
    const { sinks } = home.record()
    expect(Object.values(sinks)).toEqual([{ kind: 'local', file: 'documents.db' }])
    expect(statSync(join(home.directory, 'services.json')).mode & 0o777).toBe(0o600)
  })

  it('gives the indexer its settings, and redacts nothing that stays here', async () => {
    const home = aHome()
    await using opened = await home.open({ batchSize: 3, namespace: 'mine', walEnabled: false })
    expect(opened).toMatchObject({ batchSize: 3, quantum: 200, namespace: 'mine', walEnabled: false, redact: undefined, former: [] })
    await using redacting = await home.open({ redact: true })
    expect(redacting.redact?.name).toMatch(/./)
  })

  it('takes an embedder and a sink of your own', async () => {
    const home = aHome()
    await using opened = await home.open({}, { embedder: hashEmbedder({ dimensions: 64 }) })
    expect(opened.embedder.dimensions).toBe(64)
    expect(await home.drain(opened)).toMatchObject({ documents: 4 })
  })
})

describe('another embedder', () => {
  it('is refused by name while none is chosen', async () => {
    const home = aHome()
    await home.index({ embedder: 'ollama' })
    for (const opening of [home.open(), home.reader()]) {
      const { code: is, reason } = await code(opening)
      expect([is, reason]).toEqual(['SINK_MISMATCH', expect.stringMatching(/--embedder ollama .*config\.json.*--embedder hash/)])
    }
    await home.open({ embedder: 'ollama' }).then((opened) => opened.close())
  })

  it('is built beside the one that is searched, and then takes over', async () => {
    const home = aHome()
    await home.index()
    const before = Object.keys(home.record().sinks)
    await using opened = await home.open({ embedder: 'ollama' })
    expect(opened.rebuild).toBe(true)
    expect(opened.searched().embedder.space).toMatch(/^hash\//)
    expect(await home.found({ embedder: 'ollama' })).toBe('ses_a')
    expect(await home.drain(opened)).toMatchObject({ embedded: 4 })
    expect(opened.searched().embedder.space).toMatch(/^ollama\//)
    expect(await opened.searched().sink.count()).toBe(4)
    await opened.close()
    expect(await home.found({ embedder: 'ollama' })).toBe('ses_a')
    expect(Object.keys(home.record().sinks)).toEqual(expect.arrayContaining(before))
    // The old file is gone with its last document.
    expect(readdirSync(home.directory).filter((name) => /^documents.*\.db$/.test(name))).toEqual([`documents-${spaceIdOf(opened.embedder.space)}.db`])
  })

  it('takes no place of its own accord: rebuild: false', async () => {
    const home = aHome()
    await home.index()
    await using opened = await home.open({ embedder: 'ollama' }, { rebuild: false })
    expect((await code(home.drain(opened))).code).toBe('SINK_MISMATCH')
  })

  it('says what to do when its service is not there', async () => {
    const home = aHome()
    const missing = await code(home.open({ embedder: 'ollama', ollamaModel: 'not-there' }))
    expect([missing.code, missing.reason]).toEqual(['EMBEDDER_REFUSED', expect.stringContaining('ollama pull not-there')])
    const down = await code(home.open({ embedder: 'ollama', ollamaUrl: 'http://127.0.0.1:9' }))
    expect([down.code, down.reason]).toEqual(['EMBEDDER_UNAVAILABLE', expect.stringMatching(/ollama serve.*OLLAMA_API_BASE/)])
  })

  it('is worked with while its service is down, if the index is of it', async () => {
    const home = aHome()
    await home.index({ embedder: 'ollama' })
    await ollama.stop()
    try {
      await using opened = await home.open({ embedder: 'ollama' })
      expect(opened.embedder.space).toMatch(/^ollama\//)
      await using index = await home.reader({ embedder: 'ollama' })
      expect(await index?.sink.count()).toBe(4)
      expect((await code(searchIndex(index as NonNullable<typeof index>, 'herd'))).code).toBe('EMBEDDER_UNAVAILABLE')
    } finally {
      await ollama.start()
    }
  })
})

describe('a service that was down', () => {
  it('is told to be well again by the next process that finds it so', async () => {
    const home = aHome()
    await home.index({ embedder: 'ollama' })
    home.world.add('ses_c', ['one more'])
    await ollama.stop()
    try {
      expect(await home.index({ embedder: 'ollama' })).toMatchObject({ deferred: 1 })
    } finally {
      await ollama.start()
    }
    await using opened = await home.open({ embedder: 'ollama' })
    expect(opened.state.status().breakers).toMatchObject([{ service: 'embedder', state: 'open' }])
    home.clock.advance(60_000)
    expect(await home.drain(opened)).toMatchObject({ documents: 1 })
    expect(opened.state.status().breakers).toMatchObject([{ service: 'embedder', state: 'closed' }])
  })
})

describe('the warning before text leaves the machine', () => {
  const remote = {
    name: 'farm',
    space: 'farm/1',
    dimensions: 2,
    remote: true,
    embed: async (texts: readonly string[]) => new Float32Array(texts.length * 2).fill(0.7),
  }

  it('is given once, and secrets are taken out from then on', async () => {
    const home = aHome()
    const open = (config: PartialConfig = {}): Promise<IndexHome> => home.open(config, { embedder: remote })
    await using first = await open()
    expect(first.redact).toBeDefined()
    await using _second = await open()
    expect(home.said).toEqual([expect.stringMatching(/leaves this machine.*farm.*secrets are taken out/)])
    await using plain = await open({ redact: false })
    expect(plain.redact).toBeUndefined()
  })
})

describe('the words of a search', () => {
  it('are said to leave the machine, until that was said of the service', async () => {
    await using elsewhere = await fakeOllama({ 'proxied:latest': { remote: true } })
    const home = aHome()
    const config = { embedder: 'ollama', ollamaUrl: elsewhere.url, ollamaModel: 'proxied' } as const
    await home.index(config)
    const search = async (): Promise<readonly string[]> => {
      const said: string[] = []
      const state = memoryState({ place: home.place, clock: home.clock })
      await using _reader = await openIndexReader({ home: home.path, state, clock: home.clock, config, warn: (s) => said.push(s) })
      return said
    }
    expect(await search()).toEqual([])
    const record = { ...home.record(), told: [] }
    writeFileSync(join(home.directory, 'services.json'), JSON.stringify(record))
    expect(await search()).toEqual([expect.stringMatching(/words of the search leave this machine, to Ollama.*http/)])
    expect(home.record()).toEqual(record)
  })
})

describe('a Chroma server elsewhere', () => {
  it('is named as it was chosen, once, also when its address is not given again', async () => {
    const home = aHome()
    const sayings: string[][] = []
    for (const config of [{ chromaUrl: 'http://team.invalid:8000' }, {}, { chromaUrl: 'http://team.invalid:8000' }]) {
      home.said.length = 0
      await using _opened = await home.open({ sink: 'chroma', ...config })
      sayings.push(home.said.filter((sentence) => sentence.includes('leaves this machine')))
      await home.index({ sink: 'chroma', ...config }).catch(() => undefined)
    }
    expect(sayings).toEqual([[expect.stringContaining('chroma at http://team.invalid:8000')], [], []])
  })

  it('is emptied of each space for itself', async () => {
    const home = aHome()
    home.world.sessions.clear()
    await home.index()
    await using server = await anEmptyChroma(spaceIdOf('another/1'))
    const place = { kind: 'chroma', url: server.url, collection: 'abc', tenant: 'default_tenant', database: 'default_database' } as const
    const left = [hashEmbedder().space, 'another/1'].map((space) => ({ space, place }))
    writeFileSync(join(home.directory, 'services.json'), JSON.stringify({ ...home.record(), left }))
    await home.open({ sink: 'chroma', chromaUrl: place.url, chromaCollection: place.collection }).then((opened) => opened.close())
    expect(home.record().left.filter((one) => one.place.kind === 'chroma')).toEqual([{ space: 'another/1', place }])
  })

  it('is never given the token of another one', async () => {
    const home = aHome()
    home.world.sessions.clear()
    await using before = await anEmptyChroma()
    await using after = await anEmptyChroma()
    await home.index({ sink: 'chroma', chromaUrl: before.url, chromaToken: 'first-token' })
    await home.index({ sink: 'local' })
    expect(home.record().left).toHaveLength(1)
    await home.index({ sink: 'chroma', chromaUrl: after.url, chromaToken: 'second-token' })
    await home.index({ sink: 'chroma', chromaToken: 'second-token' })
    expect([[...before.tokens], [...after.tokens]]).toEqual([['first-token', 'none'], ['second-token']])
  })
})

/** What answers as a Chroma server without any collection, and notes the tokens that it is given; it fails where a path has `broken` in it. */
async function anEmptyChroma(broken = 'nowhere'): Promise<{ readonly url: string; readonly tokens: ReadonlySet<string> } & AsyncDisposable> {
  const tokens = new Set<string>()
  const server = createServer((request, response) => {
    tokens.add(String(request.headers['x-chroma-token'] ?? 'none'))
    response
      .writeHead(request.url?.includes(broken) ? 503 : 404, { 'content-type': 'application/json' })
      .end('{"error":"NotFoundError","message":"none"}')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : undefined
  return {
    url: `http://127.0.0.1:${port}`,
    tokens,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

describe('what the home remembers', () => {
  it('is not taken for nothing when it cannot be read', async () => {
    const home = aHome()
    await home.index()
    for (const text of ['{', '[]', '{"sinks": 5}']) {
      writeFileSync(join(home.directory, 'services.json'), text)
      expect((await code(home.open())).code).toBe('STATE_DAMAGED')
    }
  })

  it.each<[string, unknown]>([
    ['a file above the folder', { kind: 'local', file: '../documents.db' }],
    ['a file somewhere else', { kind: 'local', file: '/tmp/documents.db' }],
    ['another file of the index', { kind: 'local', file: 'state.mdb' }],
    ['a file that is no text', { kind: 'local', file: 5 }],
    ['a collection without an address', { kind: 'chroma', collection: 'c', tenant: 't', database: 'd' }],
    ['a kind that is none', { kind: 'ftp', url: 'ftp://localhost' }],
    ['nothing', null],
  ])('is refused when it names %s', async (_what, place) => {
    const home = aHome()
    await home.index()
    const [space = ''] = Object.keys((home.record() as { sinks: Record<string, unknown> }).sinks)
    for (const record of [
      { sinks: { [space]: place }, left: [], told: [] },
      { sinks: {}, left: [{ space, place }], told: [] },
    ]) {
      writeFileSync(join(home.directory, 'services.json'), JSON.stringify(record))
      expect((await code(home.open())).code).toBe('STATE_DAMAGED')
    }
  })

  it('may be missing, as in homes of earlier versions', async () => {
    const home = aHome()
    await home.index()
    writeFileSync(join(home.directory, 'services.json'), JSON.stringify({ sinks: {}, left: [], told: [] }))
    expect(await home.found()).toBe('ses_a')
    expect(await home.index()).toMatchObject({ documents: 0 })
  })
})

const why = whyNoServer()
describe.skipIf(why !== undefined)(`another sink${why === undefined ? '' : ` (${why})`}`, () => {
  let chroma: ChromaTestServer
  beforeAll(async () => {
    chroma = await startChromaServer()
  })
  afterAll(() => chroma?.[Symbol.asyncDispose]())
  const chosen = (config: PartialConfig = {}): PartialConfig => ({ sink: 'chroma', chromaUrl: chroma.url, ...config })

  it('is refused by name while none is chosen', async () => {
    const home = aHome()
    await home.index(chosen({ chromaCollection: 'refused' }))
    for (const opening of [home.open(), home.reader(), home.open({ sink: 'local' }, { rebuild: false })])
      expect(await code(opening)).toMatchObject({ code: 'SINK_MISMATCH', reason: expect.stringMatching(/Chroma at .*--sink chroma/) })
    // What is not chosen again is as it was.
    expect(await home.found({ sink: 'chroma' })).toBe('ses_a')
  })

  it('is filled without embedding anything again, and the one before it is emptied', async () => {
    const home = aHome()
    await home.index()
    const moved = await home.index(chosen({ chromaCollection: 'moved' }))
    expect(moved).toMatchObject({ embedded: 0 })
    expect(await home.found(chosen())).toBe('ses_a')
    expect(home.record().left).toHaveLength(1)
    expect(await home.index({ sink: 'chroma' })).toMatchObject({ documents: 0 })
    expect(home.record().left).toEqual([])
    expect(existsSync(join(home.directory, 'documents.db'))).toBe(false)
    // And back again: nothing of an earlier time is left there.
    home.world.sessions.delete('ses_b')
    expect(await home.index({ sink: 'local' })).toMatchObject({ embedded: 0 })
    await using opened = await home.open({ sink: 'local' })
    expect(await opened.sink.count()).toBe(2)
    expect(JSON.parse(readFileSync(join(home.directory, 'services.json'), 'utf8')).left).toEqual([])
  })

  it('waits until no other process writes to the old one', async () => {
    const home = aHome()
    await home.index()
    await memoryState({ place: home.place }).running(true)
    expect(await code(home.open(chosen({ chromaCollection: 'busy' })))).toMatchObject({
      code: 'STATE_UNAVAILABLE',
      advice: expect.stringMatching(/^Stop it before/),
    })
  })
})
