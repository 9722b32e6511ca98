import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it, vi } from 'vitest'
import { hashEmbedder } from '../../src/indexer/embedders/hash.js'
import type { DocumentMetadata, Embedder, Sink } from '../../src/indexer/ports.js'
import { comparesVectors, searchIndex } from '../../src/indexer/search.js'
import { openLocalSink } from '../../src/indexer/sinks/local.js'
import { sinkRow } from '../contracts/sink.js'
import { memorySink } from '../support/memory-sink.js'

type Given = readonly [message: string, text: string, metadata?: Partial<DocumentMetadata>]

async function indexOf(given: readonly Given[], sink: Sink = memorySink(), embedder: Embedder = hashEmbedder()) {
  const vectors = await embedder.embed(
    given.map(([, text]) => text),
    { kind: 'document' },
  )
  const { dimensions } = embedder
  const rows = given.map(([message, text, metadata], i) => {
    const id = `${message}~${metadata?.chunk ?? 0}`
    return { ...sinkRow(id, text, [], { message_id: message, ...metadata }), vector: vectors.slice(i * dimensions, (i + 1) * dimensions) }
  })
  await sink.upsert(rows)
  return { embedder, sink }
}

/** Gives every text the direction that is said of it, else one of its own. */
function knowingEmbedder(directions: Readonly<Record<string, readonly number[]>>): Embedder {
  return {
    name: 'knowing',
    space: 'knowing/4',
    dimensions: 4,
    embed: async (texts) => Float32Array.from(texts.flatMap((text) => [0, 1, 2, 3].map((i) => (directions[text] ?? [0, 0, 0, 1])[i] ?? 0))),
  }
}

const messages = (hits: readonly { readonly message: string }[]) => hits.map(({ message }) => message)

describe('search', () => {
  it('compares no vectors of two spaces, and goes by the full text alone then', async () => {
    const filled = await indexOf(
      [
        ['a', 'lease'],
        ['b', 'ledger'],
      ],
      memorySink(),
      knowingEmbedder({ lease: [1], ledger: [0, 1], query: [0, 1] }),
    )
    const embedder = { ...knowingEmbedder({ query: [0, 1] }), embed: vi.fn(knowingEmbedder({ 'lease query': [0, 1] }).embed) }
    const search = (space: string | undefined) => searchIndex({ embedder, sink: { ...filled.sink, space } }, 'lease query')
    expect([comparesVectors({ embedder, sink: { space: 'other/4' } }), messages(await search('other/4'))]).toEqual([false, ['a']])
    expect(embedder.embed).not.toHaveBeenCalled()
    for (const space of [undefined, 'knowing/4']) {
      expect([comparesVectors({ embedder, sink: { space } }), messages(await search(space)).sort()]).toEqual([true, ['a', 'b']])
    }
    expect(embedder.embed).toHaveBeenCalledTimes(2)
  })

  it('fills the limit with what is kept, however deep it lies, and filters by kind of store', async () => {
    const many: Given[] = Array.from({ length: 26_000 }, (_, at) => [`m${at}`, 'retry retry retry', { session_id: 'ses_many' }])
    const few: Given[] = ['a', 'b', 'c'].map((name) => [name, 'once a retry of something else', { session_id: 'ses_few', source: 'opencode-v2' }])
    const index = await indexOf([...many, ...few], memorySink(), knowingEmbedder({}))
    expect((await searchIndex(index, 'retry', { limit: 2 })).map(({ session }) => session)).toEqual(['ses_many', 'ses_many'])
    const kept = await searchIndex(index, 'retry', { limit: 3, vectorWeight: 0, keep: ({ session_id }) => session_id === 'ses_few' })
    expect(messages(kept).sort()).toEqual(['a', 'b', 'c'])
    const ofKind = await searchIndex(index, 'retry', { limit: 5, source: 'opencode-v2' })
    expect(ofKind.map(({ message, source }) => `${message} ${source}`).sort()).toEqual(['a opencode-v2', 'b opencode-v2', 'c opencode-v2'])
    await expect(searchIndex(index, 'retry', { keep: 'ses_few' as never })).rejects.toMatchObject({ code: 'INVALID_OPTION' })
  })

  it('gives hits with all that is known of their message', async () => {
    const metadata = {
      session_id: 'ses_9',
      role: 'assistant',
      title: 'Leases',
      directory: '/w/app',
      created_at: 5,
      agent: 'claude',
      chunk: 2,
    } as const
    const text = `${'Filler words go here. '.repeat(40)}The fencing token\nstopped the old owner. ${'More filler. '.repeat(40)}`
    const index = await indexOf([['m1', text, metadata]])
    const [hit] = await searchIndex(index, 'fencing token')
    expect(hit).toMatchObject({
      agent: 'claude',
      session: 'ses_9',
      message: 'm1',
      role: 'assistant',
      title: 'Leases',
      directory: '/w/app',
      created: 5,
    })
    expect(hit?.document).toEqual({ id: 'm1~2', chunk: 2, text })
    expect(hit?.text).toContain('fencing token stopped the old owner')
    expect(hit?.text.length).toBeLessThanOrEqual(240)
    expect(hit?.score).toBeGreaterThan(0)
  })

  it('gives nothing for an empty index without asking the embedder, nor for an empty query', async () => {
    const embedder: Embedder = { ...hashEmbedder(), embed: () => Promise.reject(new Error('asked')) }
    expect(await searchIndex({ embedder, sink: memorySink() }, 'anything')).toEqual([])
    const { sink } = await indexOf([['m1', 'text']])
    expect(await searchIndex({ embedder, sink }, ' \n')).toEqual([])
    await expect(searchIndex({ embedder, sink }, 'text')).rejects.toThrow('asked')
  })
})

describe('search over messages', () => {
  it('gives one hit per message, showing the chunk with the words', async () => {
    const index = await indexOf([
      ['m1', 'an unrelated opening of the message', { chunk: 0 }],
      ['m1', 'here the watermark is explained at length', { chunk: 1 }],
      ['m1', 'and the watermark is mentioned again among many other things that have nothing to do with it', { chunk: 2 }],
      ['m2', 'something else'],
    ])
    const hits = await searchIndex(index, 'watermark explained')
    expect(messages(hits)).toEqual(['m1'])
    expect(hits[0]?.document.chunk).toBe(1)
  })

  it('finds enough messages behind one with very many chunks', async () => {
    const long = Array.from({ length: 450 }, (_, chunk): Given => ['long', `the ledger the ledger ledger ${chunk}`, { chunk }])
    const others = Array.from({ length: 5 }, (_, i): Given => [`m${i}`, `a ledger is mentioned once in message number ${i}, among other words`])
    const index = await indexOf([...long, ...others])
    expect(messages(await searchIndex(index, 'ledger', { limit: 6 })).sort()).toEqual(['long', 'm0', 'm1', 'm2', 'm3', 'm4'])
    expect(await searchIndex(index, 'ledger', { limit: 2 })).toHaveLength(2)
  })

  it('tells messages of one id apart by session and agent', async () => {
    const { sink, embedder } = await indexOf([])
    const [vector] = [await embedder.embed(['forked text'], { kind: 'document' })]
    const row = (id: string, metadata: Partial<DocumentMetadata>) => ({
      ...sinkRow(id, 'forked text', [], { message_id: 'm1', ...metadata }),
      vector,
    })
    await sink.upsert([row('a', {}), row('b', { session_id: 'fork' }), row('c', { agent: 'pi' })])
    const hits = await searchIndex({ sink, embedder }, 'forked text')
    expect(hits.map(({ agent, copies }) => [agent, copies.map(({ session }) => session)]).sort()).toEqual([
      ['opencode', ['fork']],
      ['pi', []],
    ])
  })
})

describe('search options and order', () => {
  it('passes filters on, and refuses options it does not know', async () => {
    const index = await indexOf([
      ['m1', 'the same words', { role: 'user', directory: '/w/a', created_at: 1 }],
      ['m2', 'the same words', { role: 'assistant', directory: '/w/b', created_at: 2 }],
    ])
    expect(messages(await searchIndex(index, 'words', { role: 'user' }))).toEqual(['m1'])
    expect(messages(await searchIndex(index, 'words', { directory: '/w', since: 2 }))).toEqual(['m2'])
    expect(await searchIndex(index, 'words', { session: 'another' })).toEqual([])
    const misspelt: object = { limmit: 1 }
    await expect(searchIndex(index, 'words', misspelt)).rejects.toMatchObject({ code: 'INVALID_OPTION' })
  })

  it('gives no hits for a limit of 0', async () => {
    const index = await indexOf([['m1', 'the same words']])
    expect(await searchIndex(index, 'words', { limit: 0 })).toEqual([])
  })

  it.each([
    ['a query that is no text', 5, {}],
    ['no query', undefined, {}],
    ['a negative limit', 'words', { limit: -1 }],
    ['a limit that is a text', 'words', { limit: '5' }],
    ['a limit that is no number', 'words', { limit: Number.NaN }],
    ['a time that is a text', 'words', { since: '2024-01-01' }],
    ['a time without end', 'words', { until: Number.POSITIVE_INFINITY }],
    ['a time that is no number', 'words', { since: Number.NaN }],
    ['a role that is a list', 'words', { role: ['user'] }],
    ['a project that is null', 'words', { project: null }],
    ['a directory that is a number', 'words', { directory: 5 }],
  ])('refuses %s in a sentence, even on an empty index', async (_, query, options) => {
    const index = { embedder: hashEmbedder(), sink: memorySink() }
    const refused = searchIndex(index, query as string, options as object)
    await expect(refused).rejects.toMatchObject({ code: 'INVALID_OPTION', reason: expect.stringMatching(/ must be /) })
  })

  it('takes a query and a text of ten million characters', async () => {
    const index = await indexOf([['m1', `needle ${' '.repeat(10_000_000)} haystack`]])
    expect(messages(await searchIndex(index, 'needle haystack'))).toEqual(['m1'])
    expect(await searchIndex(index, 'x'.repeat(10_000_000))).toEqual([])
  })

  it('ranks by both lists, and gives equal scores one order', async () => {
    const directions = { query: [1], 'near in meaning': [1, 0.1], 'near in meaning too': [1, 0.2], 'has the query': [0.1, 1] }
    const embedder = knowingEmbedder(directions)
    const given: readonly Given[] = [
      ['meaning', 'near in meaning'],
      ['second', 'near in meaning too'],
      ['word', 'has the query'],
      ['neither', 'nothing of both'],
    ]
    const index = await indexOf(given, memorySink(), embedder)
    const hits = await searchIndex(index, 'query')
    expect(messages(hits)).toEqual(['word', 'meaning', 'second', 'neither'])
    expect(hits[0]?.score).toBeCloseTo(1 / 61 + 1 / 61 + 1 / 63, 10)
    expect(hits[1]?.score).toBeCloseTo(1 / 61, 10)
    expect(messages(await searchIndex(index, 'query', { vectorWeight: 0 }))).toEqual(['word'])
    expect(messages(await searchIndex(index, 'query', { limit: 1 }))).toEqual(['word'])

    const twins = await indexOf([
      ['b', 'twin'],
      ['a', 'twin'],
      ['c', 'twin', { created_at: 2_000_000_000_000 }],
    ])
    expect(messages(await searchIndex(twins, 'twin'))).toEqual(messages(await searchIndex(twins, 'twin')))
  })

  it('stops when it is aborted', async () => {
    const index = await indexOf([['m1', 'text']])
    await expect(searchIndex(index, 'text', { signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow('enough')
  })
})

const CORPUS: readonly Given[] = [
  [
    'lease',
    'A worker claims a session and gets a lease with a fencing token. When the heartbeat stops the lease expires and another worker may take over.',
  ],
  ['backoff', 'Retries wait with exponential backoff and full jitter, so that clients do not come back all at once after an outage.'],
  [
    'enoent',
    "bash\ncommand: npm test\nError: ENOENT: no such file or directory, open '/w/app/fixtures/demo.json'\n    at Object.openSync (node:fs:601:3)",
  ],
  [
    'parse',
    'edit\nfilePath: src/tree/hydrate.ts\nnewString: export function parseSpanTree(bytes: Uint8Array): SpanTree {\n  return readNodes(bytes)\n}',
  ],
  ['sql', 'CREATE INDEX message_session_idx ON message (session_id, time_created); the query planner now seeks instead of scanning the whole table.'],
  ['css', 'The button overflows on small screens, so set flex-wrap: wrap on the toolbar and give the label a max-width with an ellipsis.'],
  [
    'docker',
    'The container exits with code 137: the kernel killed it for using more memory than its limit. Raise the memory limit or stream the file.',
  ],
  ['readme', 'Please write a README with install instructions, two commands to try it and a table of the options with their defaults.'],
  ['german', 'Die Sitzung wurde gelöscht, aber die Dokumente stehen noch im Verzeichnis. Bitte räume sie auf.'],
  ['unicode', 'ファイルの検索が遅いので、索引を作り直してください。'],
  [
    'auth',
    'The login fails with 401 because the refresh token has expired; rotate it and store the new one in the keychain, not in the config file.',
  ],
  ['git', 'git rebase stopped with a merge conflict in package-lock.json; delete it, run npm install and continue the rebase.'],
]

const QUESTIONS: readonly (readonly [query: string, message: string])[] = [
  ['fencing token', 'lease'],
  ['why do retries wait with jitter', 'backoff'],
  ['ENOENT no such file or directory', 'enoent'],
  ['fixtures/demo.json', 'enoent'],
  ['parseSpanTree', 'parse'],
  ['parseSpanTree(bytes: Uint8Array)', 'parse'],
  ['/w/app/fixtures/*.json [a-z]{2} \\d', 'enoent'],
  ['span tree', 'parse'],
  ['hydrate.ts', 'parse'],
  ['time_created index', 'sql'],
  ['how is the message table indexed', 'sql'],
  ['flex-wrap', 'css'],
  ['exit code 137 memory', 'docker'],
  ['install instructions', 'readme'],
  ['Dokumente gelöscht', 'german'],
  ['geloscht', 'german'],
  ['検索', 'unicode'],
  ['refresh token expired 401', 'auth'],
  ['merge conflict', 'git'],
  ['package-lock', 'git'],
  ['killing containers', 'docker'],
  ['retry', 'backoff'],
  ['indexes', 'sql'],
  ['rebas', 'git'],
]

describe('search quality of the embedded defaults', () => {
  const folder = mkdtempSync(join(tmpdir(), 'spanleaf-search-'))
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  // texts of other people's business, to be wrong about
  const noise = Array.from({ length: 300 }, (_, i): Given => {
    const words = [
      'report',
      'weather',
      'kitchen',
      'window',
      'orange',
      'travel',
      'music',
      'river',
      'letter',
      'winter',
      'stone',
      'garden',
      'memory',
      'open',
      'file',
      'message',
    ]
    return [`noise${i}`, Array.from({ length: 40 }, (_, j) => words[(i * 7 + j * j + i * j) % words.length]).join(' ')]
  })

  it('puts the right message first', async () => {
    await using sink = await openLocalSink({ path: join(folder, 'right.db') })
    const index = await indexOf([...CORPUS, ...noise], sink)
    const wrong: string[] = []
    for (const [query, message] of QUESTIONS) {
      const [first] = await searchIndex(index, query, { limit: 5 })
      if (first?.message !== message) wrong.push(`${query} -> ${first?.message}`)
    }
    expect(wrong).toEqual([])
  })

  it('is as good without reading all vectors, which a lexical space does not need when the words are enough', async () => {
    await using sink = await openLocalSink({ path: join(folder, 'candidates.db') })
    const { embedder } = await indexOf([...CORPUS, ...noise], sink)
    const nearest = vi.spyOn(sink, 'nearest')
    const wrong: string[] = []
    let scans = 0
    for (const [query, message] of QUESTIONS) {
      const hits = await searchIndex({ embedder, sink }, query, { limit: 1 })
      scans += nearest.mock.calls.length
      nearest.mockClear()
      if (hits[0]?.message !== message) wrong.push(`${query} -> ${hits[0]?.message}`)
    }
    expect(wrong).toEqual([])
    // a word that is inside of longer ones only, and one that is misspelt
    expect(scans).toBeLessThanOrEqual(3)
    await searchIndex({ embedder, sink }, 'fencing token', { limit: 1, vectorWeight: 1 })
    expect(nearest).toHaveBeenCalledOnce()
  })

  it('is not led astray by short texts that look like the query', async () => {
    await using sink = await openLocalSink({ path: join(folder, 'astray.db') })
    const long = `${'A sentence about quite another matter, as there are many. '.repeat(12)}call parseSpanTree here. ${'And so it goes on for a while longer. '.repeat(12)}`
    const alike = ['parse span', 'span trees', 'parsing spans', 'parseSpanTrees', 'the span tree', 'parserSpanTree', 'parseSpanTre', 'treeSpanParse']
    const index = await indexOf([...alike.map((text): Given => [text, text]), ['long', long], ...noise], sink)
    expect(messages(await searchIndex(index, 'parseSpanTree'))[0]).toBe('long')
    expect(messages(await searchIndex(index, 'parseSpanTree', { vectorWeight: 100 }))[0]).not.toBe('long')
  })

  it('gives no message for words that are nowhere', async () => {
    await using sink = await openLocalSink({ path: join(folder, 'nowhere.db') })
    const index = await indexOf(CORPUS, sink)
    for (const query of ['xylophone quartet', 'zzqqxx', 'kumquat']) expect(messages(await searchIndex(index, query)), query).toEqual([])
  })
})
