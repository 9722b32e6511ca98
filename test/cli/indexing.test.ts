import { once } from 'node:events'
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Ajv } from 'ajv'
import { afterAll, describe, expect, it } from 'vitest'
import { jsonLines, REPOSITORY, runCli, settledDemo, startCli } from '../support/cli.js'
import { manifestOf } from '../support/manifest.js'

const folder = mkdtempSync(join(tmpdir(), 'spanleaf-cli-index-'))
const demo = settledDemo(folder)
const data = ['--data', demo]
const ajv = new Ajv({ allowUnionTypes: true })
const home = (name: string): string[] => ['--home', join(folder, name)]

afterAll(() => rmSync(folder, { recursive: true, force: true }))

function expectValid(schema: string, values: readonly object[]): void {
  const validate = ajv.compile(JSON.parse(readFileSync(`${REPOSITORY}docs/schemas/${schema}.schema.json`, 'utf8')))
  expect(values.length).toBeGreaterThan(0)
  for (const value of values) expect(validate(value), JSON.stringify(validate.errors)).toBe(true)
}

const isLong = process.env.SPANLEAF_LONG === '1'
const QUERIES = ['thundering herd', 'token bucket', ...(isLong ? ['lock_timeout', 'diaeresis', 'idempotent webhook', 'single flight'] : [])]
const searchAll = (at: string[]): object[] =>
  QUERIES.flatMap((query) => jsonLines(runCli(['search', query, '--json', '--limit', '20', ...data, ...at])))

const undisturbed = home('undisturbed')
const first = jsonLines(runCli(['index', '--json', ...data, ...undisturbed]))
const expected = searchAll(undisturbed)

describe('index, status, search', () => {
  it('indexes everything once, privately', () => {
    expectValid('index', first)
    expect(first.at(-1)).toMatchObject({ sessions: 28, pending: 0, dead: 0 })
    expect(first.at(-1)?.documents).toBeGreaterThan(100)
    const again = jsonLines(runCli(['index', '--json', ...data, ...undisturbed])).at(-1)
    expect(again).toEqual({ ...first.at(-1), embedded: 0, cached: 0 })
    const index = join(folder, 'undisturbed', 'index')
    expect(statSync(index).mode & 0o777).toBe(0o700)
    for (const file of readdirSync(index)) expect(statSync(join(index, file)).mode & 0o777, file).toBe(0o600)
  })

  it('tells the state of the index', () => {
    const [status] = jsonLines(runCli(['status', '--json', ...undisturbed]))
    expectValid('status', [status as object])
    expect(status).toMatchObject({ queue: { ready: 0, leased: 0, backoff: 0 }, wal: { records: 0 }, ledger: { sessions: 28 }, lastError: null })
    // a listing of `index` is one, and a last message that is not finished is no failure
    expect(status).toMatchObject({ listing: { sessions: 28 }, stats: { sessionListCount: 28 } })
    expect(status?.health).toMatchObject({ state: expect.stringMatching(/^(?:idle|unattended)$/), reason: expect.not.stringMatching(/fail/) })
    expectValid('status', jsonLines(runCli(['status', '--json', ...home('never')])))
    expect(runCli(['status', ...home('never')]).stdout).toMatch(/Nothing is indexed yet/)
    expect(existsSync(join(folder, 'never'))).toBe(false)
  })

  it('finds what each query is about, first', () => {
    expectValid('search', expected)
    for (const [query, title] of [
      ['thundering herd', /Flaky retry/],
      ['diaeresis', /unicode normalisation/],
      ['single flight', /Cache stampede/],
    ] as const) {
      const [hit] = jsonLines(runCli(['search', query, '--json', ...data, ...undisturbed]))
      expect(String(hit?.title)).toMatch(title)
    }
  })

  it('says that flags of other services move nothing', () => {
    const found = runCli(['search', 'thundering herd', '--embedder', 'ollama', '--sink', 'chroma', ...data, ...undisturbed])
    expect(found).toMatchObject({ status: 0, stdout: expect.stringMatching(/Flaky retry/) })
    expect(found.stderr).toMatch(/with hash\/.*; spanleaf index --embedder ollama builds it anew/)
    expect(found.stderr).toMatch(/in the local file documents\.db; spanleaf index --sink chroma brings it over/)
    expect(runCli(['search', 'herd', '--role', 'system', ...undisturbed])).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/user, assistant/),
    })
  })

  it('filters by project, dir, role, session and time', () => {
    const search = (...options: string[]): Record<string, unknown>[] =>
      jsonLines(runCli(['search', 'token bucket limiter', '--json', '--limit', '50', ...options, ...data, ...undisturbed]))
    const all = search()
    const [hit] = all
    expect(search('--role', 'user').every(({ role }) => role === 'user')).toBe(true)
    expect(search('--session', String(hit?.session)).every(({ session }) => session === hit?.session)).toBe(true)
    const inFolder = search('--dir', '/home/dev/projects/chat-relay')
    expect(inFolder.length).toBeGreaterThan(0)
    expect(inFolder.length).toBeLessThan(all.length)
    expect(inFolder.every(({ directory }) => String(directory).startsWith('/home/dev/projects/chat-relay'))).toBe(true)
    expect(search('--project', '/home/dev/projects/chat-relay')).toEqual(inFolder)
    expect(search('--until', '2020-01-01')).toEqual([])
    expect(search('--since', '2020-01-01')).toEqual(all)
  })

  it('says so when nothing is indexed yet, and how far it is behind', () => {
    const none = runCli(['search', 'anything', ...data, ...home('never')])
    expect(none).toEqual({ status: 1, stdout: '', stderr: 'spanleaf: nothing is indexed yet. Run `spanleaf index` first.\n' })
    expect(runCli(['search', 'token', ...data, ...undisturbed]).stderr).toBe('')
    const tree = join(folder, 'grown')
    cpSync(`${demo}/storage`, tree, { recursive: true, preserveTimestamps: true })
    runCli(['index', '--data', tree, ...home('grown-home')])
    const session = readdirSync(join(tree, 'message'))[0] ?? ''
    writeFileSync(join(tree, 'message', session, 'msg_new.json'), JSON.stringify({ id: 'msg_new', role: 'user', time: { created: 1795200000000 } }))
    expect(runCli(['search', 'token', '--data', tree, ...home('grown-home')]).stderr).toMatch(/behind: 1 session new or changed/)
  })

  it('never writes into the stores, and refuses a home inside one', () => {
    const copy = join(folder, 'copy')
    cpSync(demo, copy, { recursive: true, preserveTimestamps: true })
    const before = manifestOf(copy)
    runCli(['index', '--data', copy, ...home('manifest')])
    runCli(['search', 'token', '--data', copy, ...home('manifest')])
    runCli(['verify', '--data', copy])
    expect(manifestOf(copy)).toEqual(before)
    const inside = runCli(['index', '--data', copy, '--home', join(copy, 'storage', 'mine')])
    expect(inside.status).toBe(2)
    expect(inside.stderr).toMatch(/inside an agent's store/)
    expect(manifestOf(copy)).toEqual(before)
  })
})

describe('exclusion and forgetting', () => {
  it('keeps an excluded project out from the start', () => {
    const at = home('excluding')
    runCli(['index', '--exclude', '/home/dev/projects/checkout', ...data, ...at])
    expect(
      jsonLines(runCli(['search', 'thundering herd', '--json', ...data, ...at])).every(
        ({ directory }) => directory !== '/home/dev/projects/checkout',
      ),
    ).toBe(true)
    const kept = jsonLines(runCli(['index', '--json', ...data, ...at])).at(-1)
    expect(kept?.documents).toBeLessThan(Number(first.at(-1)?.documents))
    expect(jsonLines(runCli(['index', '--json', '--include', '/home/dev/projects/checkout', ...data, ...at])).at(-1)?.documents).toBe(
      first.at(-1)?.documents,
    )
    const again = runCli(['index', '--include', '/home/dev/projects/checkout', ...data, ...at])
    expect([again.status, again.stderr]).toEqual([0, expect.stringContaining('/home/dev/projects/checkout was not excluded; what is stands in')])
  })

  it('forgets a session or a project, for good', () => {
    const at = home('forgetting')
    runCli(['index', ...data, ...at])
    const [hit] = jsonLines(runCli(['search', 'thundering herd', '--json', ...data, ...at]))
    const forgotten = jsonLines(runCli(['forget', String(hit?.session), '--json', ...data, ...at]))
    expectValid('forget', forgotten)
    expect(forgotten[0]?.documents).toBeGreaterThan(0)
    const after = jsonLines(runCli(['index', '--json', ...data, ...at])).at(-1)
    expect(after?.documents).toBe(Number(first.at(-1)?.documents) - Number(forgotten[0]?.documents))
    const [project] = jsonLines(runCli(['forget', '--project', '/home/dev/projects/chat-relay', '--json', ...data, ...at]))
    expect(project?.documents).toBeGreaterThan(0)
    expect(jsonLines(runCli(['search', 'websocket reconnect', '--json', '--dir', '/home/dev/projects/chat-relay', ...data, ...at]))).toEqual([])
    expect(runCli(['forget', 'ses_nobody', ...data, ...at])).toMatchObject({ status: 1 })
  })

  it('forgets also when the only store cannot be read any more', () => {
    const at = home('storeless')
    runCli(['index', ...data, ...at])
    const [hit] = jsonLines(runCli(['search', 'thundering herd', '--json', ...data, ...at]))
    const xdg = join(folder, 'xdg')
    mkdirSync(join(xdg, 'opencode'), { recursive: true })
    writeFileSync(join(xdg, 'opencode', 'opencode.db'), 'this was a database once '.repeat(100))
    const result = runCli(['forget', String(hit?.session), '--json', ...at], { XDG_DATA_HOME: xdg })
    expect(result.stderr).toMatch(/only what the index knows/)
    expect(jsonLines(result)[0]?.documents).toBeGreaterThan(0)
  })

  it('leaves no text of a forgotten session in any file of the index', () => {
    const at = home('traces')
    runCli(['index', ...data, ...at])
    const files = (): string =>
      readdirSync(join(folder, 'traces', 'index'))
        .map((file) => readFileSync(join(folder, 'traces', 'index', file), 'latin1'))
        .join('')
    expect(files()).toContain('thundering herd')
    const sessions = jsonLines(runCli(['search', 'thundering herd', '--json', '--limit', '50', ...data, ...at])).filter(({ text }) =>
      String(text).includes('thundering'),
    )
    for (const id of new Set(sessions.map(({ session }) => String(session)))) runCli(['forget', id, ...data, ...at])
    expect(files()).not.toContain('thundering herd')
  })
})

/** Milliseconds; all of them with SPANLEAF_LONG=1. */
const DELAYS = isLong ? [40, 90, 140, 190, 240, 290, 340, 390] : [340]

describe('killed and run again', () => {
  it.each(DELAYS)('SIGKILL after about %i ms: the same documents, the same answers', async (base) => {
    const at = home(`killed-${base}`)
    for (const delay of [base, base + 110]) {
      const child = startCli(['index', ...data, ...at])
      const ended = once(child, 'exit')
      const timer = setTimeout(() => child.kill('SIGKILL'), delay)
      await ended
      clearTimeout(timer)
    }
    const last = jsonLines(runCli(['index', '--json', ...data, ...at])).at(-1)
    expect(last).toMatchObject({ documents: first.at(-1)?.documents, messages: first.at(-1)?.messages, sessions: 28, pending: 0, dead: 0 })
    expect(searchAll(at)).toEqual(expected)
  })

  it('stops cleanly on Ctrl-C and goes on later', async () => {
    const at = home('interrupted')
    const child = startCli(['index', ...data, ...at])
    const ended = once(child, 'exit')
    const timer = setTimeout(() => child.kill('SIGINT'), 260)
    const [status] = await ended
    clearTimeout(timer)
    expect([0, 130, null]).toContain(status)
    expect(jsonLines(runCli(['index', '--json', ...data, ...at])).at(-1)).toMatchObject({ documents: first.at(-1)?.documents, pending: 0 })
  })

  it('says in one sentence that its folder cannot be written', () => {
    const closed = join(folder, 'closed-home')
    writeFileSync(closed, 'a file, not a folder')
    chmodSync(closed, 0o600)
    const result = runCli(['index', ...data, '--home', closed])
    expect(result.status).toBe(1)
    expect(result.stderr).not.toMatch(/\n\s+at /)
  })
})
