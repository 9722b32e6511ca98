/** The command line with services: Ollama from a fake of its endpoint, Chroma from a real server where there is one. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type ChromaTestServer, startChromaServer, whyNoServer } from '../support/chroma-server.js'
import { type CliResult, jsonLines, runCliBeside, settledDemo } from '../support/cli.js'
import { FAKE_MODEL, type FakeOllama, fakeOllama } from '../support/fake-ollama.js'

const folder = mkdtempSync(join(tmpdir(), 'spanleaf-cli-services-'))
const data = ['--data', join(settledDemo(folder), 'storage')]
let ollama: FakeOllama
let env: Record<string, string> = {}

beforeAll(async () => {
  ollama = await fakeOllama()
  env = { OLLAMA_API_BASE: `${ollama.url}/api`, OLLAMA_EMBED_MODEL: FAKE_MODEL }
})
afterAll(async () => {
  await ollama[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

const at = (name: string): string[] => [...data, '--home', join(folder, name)]
const oneSentence = ({ stderr }: CliResult): string => {
  const lines = stderr.trim().split('\n')
  expect(lines, stderr).toHaveLength(1)
  expect(stderr).not.toMatch(/\n\s+at /)
  return stderr
}

describe('Ollama', { timeout: 120_000 }, () => {
  it('is asked only when it is chosen; an index of it is not searched or changed by accident', async () => {
    const asked = ollama.listings
    const plain = await runCliBeside(['index', '--json', ...at('plain')], env)
    expect(jsonLines(plain)[0]).toMatchObject({ pending: 0, failed: 0 })
    expect(ollama.listings).toBe(asked)

    const moved = await runCliBeside(['index', '--embedder', 'ollama', '--json', ...at('plain')], env)
    expect(moved.stderr).toMatch(/is built anew for Ollama's nomic-embed-text:latest/)
    expect(jsonLines(moved)[0]).toMatchObject({ pending: 0, toRebuild: 0, documents: jsonLines(plain)[0]?.documents })
    const [hit] = jsonLines(await runCliBeside(['search', 'thundering herd', '--embedder', 'ollama', '--json', ...at('plain')], env))
    expect(hit?.title).toMatch(/Flaky retry/)
    for (const command of [['index'], ['search', 'herd'], ['verify', '--index'], ['reset', '--all'], ['wal', '--recover'], ['forget', 'ses_1']]) {
      const refused = await runCliBeside([...command, ...at('plain')], env)
      if (command[0] === 'forget') expect(refused.status).toBe(1)
      else expect(refused, command.join(' ')).toMatchObject({ status: 1, stderr: expect.stringMatching(/--embedder ollama/) })
    }
    // Status asks no service, and needs no choice.
    expect((await runCliBeside(['status', ...at('plain')])).stdout).toMatch(/^idle: (?:.*\n)* {2}embedder +Ollama's nomic-embed-text:latest/)
  })

  it('and whatever else the index was built with or is built with is not needed to forget', async () => {
    const choice = { ...env, SPANLEAF_EMBEDDER: 'ollama' }
    await runCliBeside(['index', ...at('forgetting')])
    const hitFor = async (query: string, chosen?: Record<string, string>) =>
      String(jsonLines(await runCliBeside(['search', query, '--json', ...at('forgetting')], chosen))[0]?.session)
    const herd = await hitFor('thundering herd')
    expect((await runCliBeside(['index', ...at('forgetting')], { ...choice, SPANLEAF_FAILPOINT: 'h:10' })).status).not.toBe(0)
    const began = Date.now()
    const first = await runCliBeside(['forget', herd, '--json', ...at('forgetting')])
    expect(first, first.stderr).toMatchObject({ status: 0, stderr: '' })
    expect(Date.now() - began).toBeLessThan(60_000)
    expect(jsonLines(first)[0]?.documents).toBeGreaterThan(0)
    expect(await hitFor('thundering herd')).not.toBe(herd)

    const built = await runCliBeside(['index', '--json', ...at('forgetting')], choice)
    expect(jsonLines(built)[0]).toMatchObject({ pending: 0, toRebuild: 0 })
    await ollama.stop()
    try {
      const stampede = await hitFor('single flight', choice)
      const second = await runCliBeside(['forget', stampede, '--json', ...at('forgetting')], {
        SPANLEAF_SINK: 'chroma',
        CHROMA_URL: 'http://127.0.0.1:9',
      })
      expect(second, second.stderr).toMatchObject({ status: 0 })
      expect(jsonLines(second)[0]?.documents).toBeGreaterThan(0)
      expect(await hitFor('single flight', choice)).not.toBe(stampede)
      expect((await runCliBeside(['status', ...at('forgetting')])).stdout).toMatch(/embedder +Ollama's/)
    } finally {
      await ollama.start()
    }
  })

  it('that is not there is told in one sentence that says what to do', async () => {
    const missing = await runCliBeside(['index', '--embedder', 'ollama', ...at('missing')], { ...env, OLLAMA_EMBED_MODEL: 'not-there' })
    expect(missing.status).toBe(1)
    expect(oneSentence(missing)).toMatch(/ollama pull not-there/)
    const down = await runCliBeside(['index', '--embedder', 'ollama', ...at('missing')], { ...env, OLLAMA_API_BASE: 'http://127.0.0.1:9' })
    expect(down.status).toBe(1)
    expect(oneSentence(down)).toMatch(/ollama serve/)
  })

  it('that goes down leaves searching by words, and work that waits', async () => {
    const choice = { ...env, SPANLEAF_EMBEDDER: 'ollama' }
    await runCliBeside(['index', ...at('down')], choice)
    await ollama.stop()
    try {
      const found = await runCliBeside(['search', 'thundering herd', '--json', ...at('down')], choice)
      expect(jsonLines(found)[0]?.title).toMatch(/Flaky retry/)
      expect(found.stderr).toMatch(/searched by words alone/)
      const waiting = await runCliBeside(['index', ...at('down')], choice)
      expect(waiting.status).toBe(0)
    } finally {
      await ollama.start()
    }
  })
})

const why = whyNoServer()
describe.skipIf(why !== undefined)(`Chroma${why === undefined ? '' : ` (${why})`}`, { timeout: 120_000 }, () => {
  let chroma: ChromaTestServer
  beforeAll(async () => {
    chroma = await startChromaServer()
  })
  afterAll(() => chroma?.[Symbol.asyncDispose]())
  const withChroma = (): Record<string, string> => ({ ...env, SPANLEAF_SINK: 'chroma', CHROMA_URL: chroma.url })

  it('holds what the local file holds, finds the same, and is verified', async () => {
    const local = jsonLines(await runCliBeside(['index', '--json', ...at('local')]))[0]
    const there = jsonLines(await runCliBeside(['index', '--json', ...at('chroma')], withChroma()))[0]
    expect(there).toMatchObject({ documents: local?.documents, messages: local?.messages, pending: 0 })
    const search = ['search', 'token bucket', '--json', '--limit', '5']
    const titles = async (home: string, chosen?: Record<string, string>): Promise<unknown> =>
      jsonLines(await runCliBeside([...search, ...at(home)], chosen)).map(({ message }) => message)
    expect(await titles('chroma', withChroma())).toEqual(await titles('local'))
    const verified = await runCliBeside(['verify', '--index', ...at('chroma')], withChroma())
    expect(verified).toMatchObject({ status: 0, stdout: expect.stringMatching(/the index is exact\n$/) })
    expect((await runCliBeside(['status', ...at('chroma')])).stdout).toMatch(/sink +Chroma at http/)
  })

  it('is moved to by choice alone, and nothing is embedded again', async () => {
    await runCliBeside(['index', ...at('moving')])
    const moved = await runCliBeside(['index', '--json', ...at('moving')], { ...withChroma(), CHROMA_COLLECTION_SESSIONS: 'moving' })
    expect(jsonLines(moved)[0]).toMatchObject({ embedded: 0, pending: 0 })
    expect(moved.stderr).toMatch(/brought from the local file documents\.db to Chroma/)
    expect(await runCliBeside(['index', ...at('moving')])).toMatchObject({ status: 1, stderr: expect.stringMatching(/--sink chroma/) })
  })

  it('that is down keeps the embeddings in the log, and they are sent later', async () => {
    await runCliBeside(['index', ...at('keeps')], { ...withChroma(), CHROMA_COLLECTION_SESSIONS: 'keeps' })
    await chroma.kill()
    const choice = { ...withChroma() }
    const session = String(jsonLines(await runCliBeside(['ls', '--json', ...data]))[0]?.session)
    const down = await runCliBeside(['reset', session, ...at('keeps')], choice)
    expect(down).toMatchObject({ status: 1, stderr: expect.stringMatching(/the sink is down|SINK_UNAVAILABLE/) })
    expect(jsonLines(await runCliBeside(['wal', '--json', ...at('keeps')]))[0]).toMatchObject({ records: 1 })
    await chroma.start()
    expect(jsonLines(await runCliBeside(['wal', '--recover', '--json', ...at('keeps')], choice))[0]).toMatchObject({ records: 1, left: 0 })
  })
})
