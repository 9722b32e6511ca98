/** The commands that run and mend the index: index --watch, wal, retry, reset, verify --index, status, and the crash points. */

import { once } from 'node:events'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { Ajv } from 'ajv'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { openLocalSink } from '../../src/indexer/index.js'
import { jsonLines, outputOf, REPOSITORY, runCli, runCliBeside, settledDemo, startCli } from '../support/cli.js'
import { FAKE_MODEL, type FakeOllama, fakeOllama } from '../support/fake-ollama.js'

const folder = mkdtempSync(join(tmpdir(), 'spanleaf-cli-running-'))
const demo = settledDemo(folder)
const tree = join(demo, 'storage')
const ajv = new Ajv({ allowUnionTypes: true })
let ollama: FakeOllama
const children: ReturnType<typeof startCli>[] = []

beforeAll(async () => {
  ollama = await fakeOllama()
})
afterEach(() => {
  ollama.fault = () => undefined
  ollama.onAnswer = () => undefined
  ollama.release()
  for (const child of children.splice(0)) child.kill('SIGKILL')
})
afterAll(async () => {
  await ollama[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

const withOllama = (): Record<string, string> => ({
  SPANLEAF_EMBEDDER: 'ollama',
  OLLAMA_API_BASE: `${ollama.url}/api`,
  OLLAMA_EMBED_MODEL: FAKE_MODEL,
})

let homes = 0
/** A data folder and a home of their own. */
function place(): { readonly at: string[]; readonly home: string; readonly data: string } {
  const home = join(folder, `home-${homes}`)
  const data = join(folder, `data-${homes++}`)
  cpSync(tree, data, { recursive: true, preserveTimestamps: true })
  return { at: ['--data', data, '--home', home], home, data }
}

function valid(schema: string, values: readonly object[]): void {
  const validate = ajv.compile(JSON.parse(readFileSync(`${REPOSITORY}docs/schemas/${schema}.schema.json`, 'utf8')))
  expect(values.length).toBeGreaterThan(0)
  for (const value of values) expect(validate(value), JSON.stringify(validate.errors)).toBe(true)
}

/** As OpenCode writes a message; long ago, so that nothing waits for more of it. */
function addMessage(data: string, text: string, id = 'new'): string {
  const session = readdirSync(join(data, 'message')).sort()[0] ?? ''
  const records: readonly (readonly [string, object])[] = [
    [join(data, 'part', `msg_${id}`, `prt_${id}.json`), { id: `prt_${id}`, sessionID: session, messageID: `msg_${id}`, type: 'text', text }],
    [join(data, 'message', session, `msg_${id}.json`), { id: `msg_${id}`, sessionID: session, role: 'user', time: { created: 1_795_100_000_000 } }],
  ]
  const yesterday = new Date(Date.now() - 86_400_000)
  for (const [path, record] of records) {
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, JSON.stringify(record))
    utimesSync(path, yesterday, yesterday)
  }
  return session
}

function start(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const child = startCli(args, env)
  children.push(child)
  return { child, ...outputOf(child) }
}

/** Documents written, added up over what the command said. */
function documentsTold(said: string): number {
  return [...said.matchAll(/(\d+) documents? written/g)].reduce((sum, [, documents]) => sum + Number(documents), 0)
}

describe('index --watch', { timeout: 120_000 }, () => {
  it.each(['stdout', 'stderr'] as const)('ends, in order and quietly, when nobody reads its %s any more', async (name) => {
    const { at, data } = place()
    const child = startCli(['index', '--watch', ...(name === 'stdout' ? ['--json'] : []), ...at], { INDEX_POLL_MS: '50' })
    children.push(child)
    const ended = once(child, 'exit')
    const other = name === 'stdout' ? child.stderr : child.stdout
    let said = ''
    other?.on('data', (text) => {
      said += text
    })
    await once(child[name] as NodeJS.ReadableStream, 'data')
    child[name]?.destroy()
    addMessage(data, 'nobody reads of this')
    expect(await ended).toEqual([0, null])
    expect(said).toBe('')
  })

  const quick = { INDEX_POLL_MS: '50', INDEX_SESSION_LIST_REFRESH_MS: '50' }

  it('indexes what there is and what comes, says so in a line, and stops with the first signal', async () => {
    const { at, data } = place()
    const [all] = jsonLines(runCli(['index', '--json', '--data', data, '--home', place().home]))
    const watch = start(['index', '--watch', ...at], quick)
    await watch.said(/watching 15 sessions; Ctrl-C stops/)
    // What comes before all of it is written may be told with other sessions in one line.
    await expect.poll(() => documentsTold(watch.stderr()), { timeout: 100_000 }).toBe(all?.documents)
    const session = addMessage(data, 'a question about marmots')
    await watch.said(new RegExp(`${session}: 1 document written`))
    const [running] = jsonLines(runCli(['status', '--json', ...at]))
    expect(running).toMatchObject({ health: { state: 'idle' }, running: [{ pid: watch.child.pid }], stats: { running: true } })
    watch.child.kill('SIGINT')
    expect(await watch.ended).toEqual({ code: 0, signal: null })
    expect(watch.stdout()).toBe('')
    expect(watch.stderr()).toMatch(/stopped; what is left goes on with the next run\n$/)
    expect(jsonLines(runCli(['status', '--json', ...at]))[0]).toMatchObject({ running: [], queue: { leased: 0 } })
    expect(jsonLines(runCli(['search', 'marmots', '--json', ...at]))[0]).toMatchObject({ session })
  })

  it('with --json says it on stdout', async () => {
    const { at, data } = place()
    const watch = start(['index', '--watch', '--json', ...at], quick)
    await watch.wrote(/(?:.*\n){14}/)
    addMessage(data, 'one more')
    await watch.wrote(/(?:.*\n){15}/)
    watch.child.kill('SIGTERM')
    expect(await watch.ended).toEqual({ code: 0, signal: null })
    const lines = jsonLines({ status: 0, stdout: watch.stdout(), stderr: '' })
    valid('index-watch', lines)
    expect(lines.every(({ kind }) => kind === 'committed')).toBe(true)
    expect(watch.stderr()).toBe('')
  })

  it('a paid embedding is kept when it is stopped; a second signal ends it at once', async () => {
    const { at } = place()
    ollama.fault = () => ({ kind: 'hang' })
    const asked = ollama.requests.length
    const watch = start(['index', '--watch', ...at], { ...withOllama(), ...quick })
    // The first call measures the dimensions.
    await ollama.hanging()
    ollama.fault = () => undefined
    ollama.release()
    await watch.said(/watching 15 sessions/)
    expect(ollama.requests.length).toBeGreaterThan(asked)
    ollama.fault = () => ({ kind: 'hang' })
    addMessage(at[1] ?? '', 'what hangs')
    await ollama.hanging()
    watch.child.kill('SIGINT')
    await watch.said(/stopping/)
    watch.child.kill('SIGINT')
    expect(await watch.ended).toEqual({ code: null, signal: 'SIGINT' })
  })
})

describe('wal', () => {
  it('lists what an earlier run left, and sends it without a call of the embedder', async () => {
    const { at } = place()
    const env = withOllama()
    const killed = start(['index', ...at], { ...env, SPANLEAF_FAILPOINT: 'e:2' })
    expect(await killed.ended).toEqual({ code: null, signal: 'SIGKILL' })
    const [wal] = jsonLines(runCli(['wal', '--json', ...at], env))
    valid('wal', [wal as object])
    expect(wal?.records).toBeGreaterThan(0)
    expect(runCli(['wal', ...at], env).stdout).toMatch(/record.*send them with --recover\n {2}ses_\w+ {2}\d+ documents?/)
    const calls = ollama.requests.length
    const [sent] = jsonLines(await runCliBeside(['wal', '--recover', '--json', ...at], env))
    valid('wal-recover', [sent as object])
    expect(sent).toMatchObject({ records: wal?.records, left: 0 })
    expect(ollama.requests.length).toBe(calls)
    expect(runCli(['wal', ...at], env).stdout).toMatch(/log is empty/)
  })

  it('of no index is empty', () => {
    const at = ['--home', join(folder, 'never')]
    valid('wal', jsonLines(runCli(['wal', '--json', ...at])))
    valid('wal-recover', jsonLines(runCli(['wal', '--recover', '--json', ...at])))
    expect(runCli(['wal', ...at]).stdout).toMatch(/nothing is indexed yet/)
    expect(existsSync(join(folder, 'never'))).toBe(false)
  })
})

describe('retry', () => {
  it('lists what was put aside, tries it again, or gives it up', async () => {
    const { at, data } = place()
    const env = withOllama()
    for (const id of ['one', 'two']) addMessage(data, `poison ${id}`, id)
    ollama.fault = ({ input }) =>
      input.some((text) => text.includes('poison'))
        ? { kind: 'status', status: 500, body: '{"error":"failed to encode response: json: unsupported value: NaN"}' }
        : undefined
    const first = await runCliBeside(['index', '--json', ...at], env)
    expect(jsonLines(first)[0]).toMatchObject({ dead: 2, pending: 0, failed: 0 })
    expect(first.status).toBe(0)
    const letters = jsonLines(runCli(['retry', '--list', '--json', ...at], env))
    valid('retry', letters)
    expect(letters).toMatchObject([
      { kind: 'message', message: 'msg_one', code: 'EMBEDDING_INVALID' },
      { kind: 'message', message: 'msg_two', code: 'EMBEDDING_INVALID' },
    ])
    const listed = runCli(['retry', '--list', ...at], env).stdout
    expect(listed).toMatch(/msg_one chunk 0 {2}EMBEDDING_INVALID: /)
    expect(listed).not.toContain('poison')
    expect(runCli(['status', ...at], env).stdout).toMatch(/^idle: .*2 texts or records put aside/)

    ollama.fault = () => undefined
    const [again] = jsonLines(await runCliBeside(['retry', String(letters[0]?.id), '--json', ...at], env))
    valid('index', [again as object])
    expect(again).toMatchObject({ dead: 1, pending: 0 })
    expect(runCli(['retry', '--drop', ...at], env).stdout).toMatch(/1 text or record given up/)
    expect(runCli(['retry', '--list', ...at], env).stdout).toBe('Nothing was put aside.\n')
    expect(runCli(['retry', ...at], env)).toMatchObject({ status: 0, stdout: 'Nothing was put aside.\n' })
  })

  it('refuses what it does not know', () => {
    const at = ['--home', join(folder, 'never')]
    expect(runCli(['retry', 'nobody', ...at])).toMatchObject({ status: 1, stderr: expect.stringMatching(/retry --list/) })
    expect(runCli(['retry', '--list', '--drop', ...at]).status).toBe(2)
  })
})

describe('reset', () => {
  it('writes a session anew without embedding anything again', () => {
    const { at, data } = place()
    const session = addMessage(data, 'hello')
    runCli(['index', ...at])
    const [done] = jsonLines(runCli(['reset', session, '--json', ...at]))
    valid('index', [done as object])
    expect(done).toMatchObject({ embedded: 0, pending: 0 })
    expect(done?.cached).toBeGreaterThan(0)
    expect(jsonLines(runCli(['reset', '--all', '--json', ...at]))[0]).toMatchObject({ embedded: 0, cached: expect.any(Number), pending: 0 })
    expect(runCli(['reset', 'ses_nobody', ...at])).toMatchObject({ status: 1, stderr: expect.stringMatching(/does not know/) })
    for (const wrong of [[], [session, '--all']]) expect(runCli(['reset', ...wrong, ...at]).status).toBe(2)
  })
})

describe('verify --index', () => {
  it('finds the index exact, names what differs, and mends it', async () => {
    const { at, home } = place()
    runCli(['index', ...at])
    const exact = runCli(['verify', '--index', ...at])
    expect(exact).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^compared: 15 sessions, \d+ messages, \d+ documents\n(.*\n)*the index is exact\n$/),
    })
    valid('verify-index', jsonLines(runCli(['verify', '--index', '--json', ...at])))

    const sink = await openLocalSink({ path: join(home, 'index', 'documents.db') })
    const ids: string[] = []
    for await (const { id } of sink.ids()) ids.push(id)
    await sink.delete(ids.slice(0, 3))
    await sink[Symbol.asyncDispose]()
    const differing = runCli(['verify', '--index', '--json', ...at])
    valid('verify-index', jsonLines(differing))
    expect(differing.status).toBe(3)
    expect(jsonLines(differing)[0]).toMatchObject({ counts: { missing: 3 }, repaired: 0 })
    expect(runCli(['verify', '--index', ...at]).stdout).toMatch(
      /! missing {3}ses_\w+ msg_\w+ \S+ {2}not in the sink\n(.*\n)*3 differences: 3 missing; spanleaf verify --index --repair mends them\n$/,
    )

    const mended = runCli(['verify', '--index', '--repair', '--json', ...at])
    expect(mended.status).toBe(0)
    expect(jsonLines(mended)[0]).toMatchObject({ differences: [], repaired: 3 })
    expect(runCli(['verify', '--index', ...at]).status).toBe(0)
  })

  it('goes with its own options', () => {
    const { at } = place()
    for (const wrong of [['--index', '--deep'], ['--index', '--store', 'opencode-json'], ['--repair'], ['--sink', 'local']])
      expect(runCli(['verify', ...wrong, ...at]), wrong.join(' ')).toMatchObject({ status: 2, stderr: expect.stringMatching(/goes with/) })
    expect(runCli(['verify', '--index', ...at])).toMatchObject({ status: 1, stderr: expect.stringMatching(/spanleaf index/) })
  })
})

describe('settings', () => {
  it('are refused by name, in one sentence', () => {
    const { at, home } = place()
    const one = (result: { status: number | null; stderr: string }): string => {
      expect(result.status).toBe(2)
      expect(result.stderr.trim().split('\n')).toHaveLength(1)
      return result.stderr
    }
    expect(one(runCli(['index', ...at], { INDEX_BATCH_SIZE: '-1' }))).toMatch(/INDEX_BATCH_SIZE must be a whole number/)
    expect(one(runCli(['status', ...at], { CHROMA_URL: '' }))).toMatch(/CHROMA_URL is empty/)
    expect(one(runCli(['search', 'x', '--embedder', 'openai', ...at]))).toMatch(/--embedder must be hash or ollama/)
    mkdirSync(home)
    writeFileSync(join(home, 'config.json'), '{"sinc": "local"}')
    expect(one(runCli(['index', ...at]))).toMatch(/no setting "sinc" \(.*config\.json\)/)
    expect(one(runCli(['index', ...at], { SPANLEAF_FAILPOINT: 'z:1' }))).toMatch(/no setting "sinc"|SPANLEAF_FAILPOINT/)
  })

  it('of a file and the environment are shown with where they are from; nothing of a token is', () => {
    const { at, home } = place()
    mkdirSync(home)
    writeFileSync(join(home, 'config.json'), '{"batchSize": 8, "chromaToken": "hunter2"}', { mode: 0o644 })
    runCli(['index', ...at])
    const status = runCli(['status', ...at], { INDEX_POLL_MS: '500' })
    expect(status.stdout).toContain('chromaToken=(set) (file), pollMs=500 (environment), batchSize=8 (file)')
    expect(status.stderr).toMatch(/holds a token and others may read it/)
    const [json] = jsonLines(runCli(['status', '--json', ...at], { INDEX_POLL_MS: '500' }))
    valid('status', [json as object])
    expect(json).toMatchObject({
      settings: { pollMs: { value: 500, from: 'environment' }, chromaToken: { value: '(set)', from: 'file' } },
      stats: { pollMs: 500 },
    })
    expect(JSON.stringify(json)).not.toContain('hunter2')
  })

  it('SPANLEAF_AUTO_INDEX has search index first what is new', () => {
    const { at, data } = place()
    expect(jsonLines(runCli(['search', 'thundering herd', '--json', ...at], { SPANLEAF_AUTO_INDEX: 'true' })).length).toBeGreaterThan(0)
    addMessage(data, 'now about marmots')
    expect(jsonLines(runCli(['search', 'marmots', '--json', ...at])).filter(({ text }) => String(text).includes('marmots'))).toEqual([])
    expect(jsonLines(runCli(['search', 'marmots', '--json', ...at], { SPANLEAF_AUTO_INDEX: '1' }))[0]).toMatchObject({ message: 'msg_new' })
  })
})
