/** The command line over a fake of Ollama: processes of their own, which are told to end while the model computes. */
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { jsonLines, settledDemo, startCli } from '../support/cli.js'
import { FAKE_MODEL, type FakeOllama, fakeOllama } from '../support/fake-ollama.js'

const folder = mkdtempSync(join(tmpdir(), 'spanleaf-cli-ollama-'))
const demo = settledDemo(folder)
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function start(fake: FakeOllama, home: string, args: readonly string[], more: Readonly<Record<string, string>> = {}) {
  const env = { ...more, SPANLEAF_EMBEDDER: 'ollama', OLLAMA_API_BASE: `${fake.url}/api`, OLLAMA_EMBED_MODEL: FAKE_MODEL }
  const child = startCli([...args, '--data', demo, '--home', join(folder, home)], env)
  let stdout = ''
  let stderr = ''
  child.stdout?.on('data', (piece: Buffer) => {
    stdout += piece
  })
  child.stderr?.on('data', (piece: Buffer) => {
    stderr += piece
  })
  const ended = once(child, 'close').then(() => ({ status: child.exitCode, signal: child.signalCode, stdout, stderr }))
  return { child, ended }
}

const messages = (fake: FakeOllama): string[] => fake.embedded.filter((text) => text !== 'word' && text !== 'spanleaf')

describe('spanleaf index with Ollama', () => {
  it('embeds each text once, and nothing at the next run', async () => {
    await using fake = await fakeOllama()
    const run = await start(fake, 'once', ['index', '--json']).ended
    expect([run.status, run.stderr.includes('Error')]).toEqual([0, false])
    expect(jsonLines({ ...run, status: 0 }).at(-1)).toMatchObject({ sessions: 28, pending: 0, dead: 0 })
    const embedded = messages(fake)
    expect(embedded.length).toBeGreaterThan(100)
    expect(new Set(embedded).size).toBe(embedded.length)
    const again = await start(fake, 'once', ['index', '--json']).ended
    expect(jsonLines({ ...again, status: 0 }).at(-1)).toMatchObject({ embedded: 0, pending: 0 })
    expect(messages(fake).length).toBe(embedded.length)
    fake.requests.length = 0
    const [hit] = jsonLines({ ...(await start(fake, 'once', ['search', 'thundering herd', '--json']).ended), status: 0 })
    expect(hit?.title).toMatch(/Flaky retry/)
    expect(fake.requests.map(({ input }) => input)).toEqual([['thundering herd']])
  })

  it('that may cut texts says how many it cut, and counts them', async () => {
    await using fake = await fakeOllama({ [FAKE_MODEL]: { context: 100 } })
    const cutting = { OLLAMA_EMBED_TRUNCATE: 'true' }
    const run = await start(fake, 'cut', ['index', '--json'], cutting).ended
    const [, told] = run.stderr.match(/(\d+) texts cut at the context of the model/) ?? []
    expect(Number(told)).toBeGreaterThan(0)
    const [status] = jsonLines({ ...(await start(fake, 'cut', ['status', '--json'], cutting).ended), status: 0 })
    expect(status).toMatchObject({ counters: { truncated: Number(told) }, dead: 0 })
    // Nothing was cut by a run that embeds nothing.
    expect((await start(fake, 'cut', ['index', '--json'], cutting).ended).stderr).not.toMatch(/cut at the context/)
  })

  it('told to end while the model computes, keeps what is computed: the next start repeats none (B21)', async () => {
    await using fake = await fakeOllama()
    fake.fault = ({ input }, nth) => (nth >= 4 && input[0] !== 'word' ? { kind: 'hang' } : undefined)
    const { child, ended } = start(fake, 'stopped', ['index', '--watch'])
    await fake.hanging()
    const before = messages(fake).length
    child.kill('SIGTERM')
    // Long enough for a process that drops its work to do so; one that is slower than this passes as well.
    await new Promise((resolve) => setTimeout(resolve, 300))
    expect([child.exitCode, fake.disconnects]).toEqual([null, 0])
    fake.fault = () => undefined
    fake.release()
    const { stderr } = await ended
    expect(stderr).not.toMatch(/Error|at .*\.js/)
    const paid = messages(fake)
    expect(paid.length).toBeGreaterThan(before)
    const run = await start(fake, 'stopped', ['index', '--json']).ended
    expect(jsonLines({ ...run, status: 0 }).at(-1)).toMatchObject({ sessions: 28, pending: 0, dead: 0 })
    expect(new Set(messages(fake)).size).toBe(messages(fake).length)
  })

  it('told twice, ends at once and frees the server', async () => {
    await using fake = await fakeOllama()
    fake.fault = ({ input }) => (input[0] !== 'word' ? { kind: 'hang' } : undefined)
    const { child, ended } = start(fake, 'twice', ['index', '--watch'])
    await fake.hanging()
    // Two of one kind may arrive as one.
    child.kill('SIGTERM')
    child.kill('SIGINT')
    expect(['SIGTERM', 'SIGINT']).toContain((await ended).signal)
    await new Promise<void>((resolve) => {
      const look = (): void => (fake.disconnects > 0 ? resolve() : void setImmediate(look))
      look()
    })
  })

  it('says what to do when the model or the server is missing', async () => {
    await using fake = await fakeOllama({})
    const missing = await start(fake, 'missing', ['index']).ended
    expect([missing.status, missing.stderr]).toEqual([expect.any(Number), expect.stringContaining('ollama pull')])
    expect(missing.status).not.toBe(0)
    await fake.stop()
    const down = await start(fake, 'missing', ['index']).ended
    expect(down.stderr).toContain('ollama serve')
    expect(down.status).not.toBe(0)
    await fake.start()
  })
})
