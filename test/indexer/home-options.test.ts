/** What an index home, a reader and their parts are given, by callers without types: refused by name, and nothing is written. */
import { appendFileSync, existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import {
  addExclusions,
  createIndexer,
  noSessions,
  openEmbedCache,
  openIndexHome,
  openIndexReader,
  openLmdbState,
  openLocalSink,
  openOllamaEmbedder,
  readExclusions,
  removeExclusions,
} from '../../src/indexer/index.js'
import { tempFolder } from '../support/temp.js'

const folder = tempFolder()
afterAll(() => folder[Symbol.dispose]())
let homes = 0
const freshHome = (): string => join(folder.path, `home-${homes++}`)

const loosely = (open: (options: never) => Promise<unknown>): ((options: unknown) => Promise<unknown>) =>
  open as (options: unknown) => Promise<unknown>

async function refuses(open: (options: never) => Promise<unknown>, options: unknown, text: string | RegExp): Promise<void> {
  const refusal = { code: 'INVALID_OPTION', reason: typeof text === 'string' ? expect.stringContaining(text) : expect.stringMatching(text) }
  await expect(loosely(open)(options), String(text)).rejects.toMatchObject(refusal)
}

const CONFIGS: readonly (readonly [unknown, string])[] = [
  [{ embeder: 'ollama' }, 'there is no setting "embeder"'],
  [{ embedder: 'Hash' }, 'embedder must be hash or ollama, not "Hash"'],
  [{ embedder: 'none' }, 'embedder must be'],
  [{ embedder: null }, 'embedder must be hash or ollama, not null'],
  [{ sink: 'Local' }, 'sink must be local or chroma, not "Local"'],
  [{ sink: 'lokal' }, 'sink must be'],
  [{ redact: 'false' }, 'redact must be true or false, not "false"'],
  [{ walEnabled: 'false' }, 'walEnabled must be true or false'],
  [{ pollMs: 0 }, 'pollMs must be a whole number from 10 to 86400000, not 0'],
  [{ batchSize: Number.NaN }, 'batchSize must be a whole number from 1 to 1024, not NaN'],
  [{ leaseMs: '5' }, 'leaseMs'],
  [{ quantum: 1.5 }, 'quantum'],
  [{ chromaUrl: 'http://me:hunter2@host' }, 'chromaUrl must be an address'],
  [null, 'config must be an object, not null'],
  [3, 'config must be an object, not 3'],
  [['embedder'], 'config must be an object, not a list'],
  ...['', ' ', 'my laptop', 'ü', 'a/b', 'x'.repeat(3000), 5].map((namespace) => [{ namespace }, 'namespace'] as const),
]

describe('an index home', () => {
  it.each(CONFIGS)('refuses the settings %o, and so does a reader', async (config, text) => {
    const home = freshHome()
    await refuses(openIndexHome, { home, config }, text)
    await refuses(openIndexReader, { home, config }, text)
    expect(existsSync(home)).toBe(false)
    await expect(loosely(openIndexHome)({ home, config })).rejects.not.toThrow(/hunter2/)
  })

  it.each<readonly [object, string]>([
    [{ home: undefined }, 'home must be the path of a folder'],
    [{ home: '' }, 'home'],
    [{ home: 3 }, 'home must be a text, not 3'],
    [{ embedder: 'Hash' }, 'embedder must be hash or ollama'],
    [{ embedder: 3 }, 'embedder must be an embedder'],
    [{ embedder: null }, 'embedder'],
    [{ embedder: {} }, 'embedder must be an embedder'],
    [{ sink: 'Local' }, 'sink must be local or chroma'],
    [{ sink: {} }, 'sink must be a sink'],
    [{ state: {} }, 'state must be an index state'],
    [{ sessions: {} }, 'sessions must be an open set of sessions'],
    [{ clock: 3 }, 'clock'],
    [{ signal: 3 }, 'signal'],
    [{ warn: 3 }, 'warn must be a function'],
    [{ failpoint: 3 }, 'failpoint'],
    [{ rebuild: 'no' }, 'rebuild must be true or false, not "no"'],
    [{ namespace: 'mine' }, 'there is no option "namespace"'],
  ])('refuses %o', async (change, text) => {
    const home = freshHome()
    await refuses(openIndexHome, { home, ...change }, text)
    expect(existsSync(home)).toBe(false)
  })

  it('refuses what is no object', async () => {
    for (const given of [undefined, null, 3, 'path']) {
      await refuses(openIndexHome, given, 'the options must be an object')
      await refuses(openIndexReader, given, 'the options must be an object')
    }
  })

  it('takes settings that were not chosen as undefined, and an address as people write it', async () => {
    await using home = await openIndexHome({
      home: freshHome(),
      config: { embedder: undefined, namespace: undefined, chromaUrl: 'http://localhost:8000/' },
    })
    expect([home.namespace, home.embedder.space.split('/')[0], home.sink.name]).toEqual(['local', 'hash', 'local'])
  })
})

describe('the list of exclusions', () => {
  it('takes nothing that would exclude nothing', () => {
    const home = freshHome()
    const add = addExclusions as (home: string, more: unknown) => unknown
    for (const more of [
      { dirs: ['/x'] },
      { directories: ['rel/x'] },
      { directories: ['/fine', '~/x'] },
      { directories: '/abs' },
      { sessions: [{ kind: 'session', agent: 'pi', session: 'ses_a' }] },
      { projects: [''] },
      ['/abs'],
      '/abs',
      null,
      undefined,
    ])
      expect(() => add(home, more), JSON.stringify(more)).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }))
    expect(existsSync(home)).toBe(false)
    expect(addExclusions(home, { directories: ['/abs/'], sessions: ['ses_a'] })).toEqual({ directories: ['/abs'], projects: [], sessions: ['ses_a'] })
  })

  it('lets go of whatever it holds', () => {
    const home = freshHome()
    addExclusions(home, { projects: ['p'] })
    expect(() => removeExclusions(home, { dirs: ['/x'] } as object)).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }))
    expect(removeExclusions(home, { directories: ['rel/x'], projects: ['p'] })).toEqual(readExclusions(home))
    expect(readExclusions(home).projects).toEqual([])
  })
})

describe('a line that excludes nothing', () => {
  const line = (kind: string, value: string, op = 'exclude'): string => `${JSON.stringify({ op, kind, value })}\n`

  it('as earlier versions wrote it, is told once by its number, and the others hold', async () => {
    const home = freshHome()
    addExclusions(home, { projects: ['p'] })
    const path = join(home, 'exclude.jsonl')
    appendFileSync(
      path,
      line('directories', 'rel/x') + line('directories', 'rel/y') + line('directories', 'rel/y', 'include') + line('sessions', 'ses_a'),
    )
    const told: string[] = []
    await using opened = await openIndexHome({ home, warn: (sentence) => told.push(sentence) })
    for (let time = 0; time < 2; time++) expect(opened.exclude()).toEqual({ directories: [], projects: ['p'], sessions: ['ses_a'] })
    expect(told).toEqual([`line 2 of ${path} excludes nothing: "rel/x"; the others hold`])
    await using indexer = createIndexer({ ...opened, sessions: noSessions })
    expect(await indexer.walRecover()).toEqual({ records: 0, documents: 0 })
  })
})

describe('what an excluded session started', () => {
  it('is taken back with it', () => {
    const home = freshHome()
    addExclusions(home, { sessions: ['ses_a', 'ses_b', 'ses_c'] }, new Map([['ses_b', 'ses_a']]))
    expect(readExclusions(home).sessions).toEqual(['ses_a', 'ses_b', 'ses_c'])
    expect(removeExclusions(home, { sessions: ['ses_a'] }).sessions).toEqual(['ses_c'])
    expect(addExclusions(home, { sessions: ['ses_a'] }).sessions).toEqual(['ses_c', 'ses_a'])
  })
})

describe('a part of an index home', () => {
  it.each<readonly [string, (options: never) => Promise<unknown>, unknown, string]>([
    ['an embedder of Ollama', openOllamaEmbedder, {}, 'model must be the name of a model, not undefined'],
    ['an embedder of Ollama', openOllamaEmbedder, undefined, 'the options must be an object, not undefined'],
    ['an embedder of Ollama', openOllamaEmbedder, { model: 'm', host: 3 }, 'host must be a text, not 3'],
    ['an embedder of Ollama', openOllamaEmbedder, { model: 'm', truncate: 'no' }, 'truncate must be true or false, not "no"'],
    ['an embedder of Ollama', openOllamaEmbedder, { model: 'm', prefix: 'query: ' }, 'prefix must be an object, not "query: "'],
    ['an embedder of Ollama', openOllamaEmbedder, { model: 'm', signal: 3 }, 'signal must be an AbortSignal'],
    ['an embedder of Ollama', openOllamaEmbedder, { model: 'm', numCtx: Number.NaN }, 'not NaN'],
    ['a cache', openEmbedCache, {}, 'directory is empty'],
    ['a cache', openEmbedCache, { directory: 3 }, 'directory must be a text, not 3'],
    ['a cache', openEmbedCache, { directory: '/nowhere' }, 'now must be a function'],
    ['a cache', openEmbedCache, { directory: '/nowhere', now: () => 0, bytes: 3 }, 'there is no option "bytes"'],
    ['a state', openLmdbState, { directory: 3 }, 'directory must be a text, not 3'],
    ['a state', openLmdbState, { directory: '/nowhere', leaseMs: 2 ** 31 }, 'leaseMs must be a number between 1 and 2147483647'],
    ['a state', openLmdbState, { directory: '/nowhere', sweepPage: 1.5 }, 'sweepPage must be a whole number'],
    ['a sink', openLocalSink, { path: 3 }, 'path must be a text, not 3'],
    ['a sink', openLocalSink, { path: '/nowhere/a.db', space: 3 }, 'space must be a text, not 3'],
    ['a sink', openLocalSink, null, 'the options must be an object, not null'],
  ])('%s refuses what it cannot use', async (_name, open, options, text) => {
    await refuses(open, options, text)
  })

  it('writes nothing for it', () => {
    expect(readdirSync(folder.path).filter((name) => name === 'nowhere')).toEqual([])
  })
})
